package mysql

import (
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// A procedure may call others that have steps. The server would execute these as they are, so stand-ins are called in their place,
// and in that of those which call such ones. Which procedures a CALL means is seen from the name that it says, and does not change unless the
// schema does.

// maxReached bounds the procedures that one may call, directly or not, so that others have to stand in for them.
const maxReached = 64

// readReached finds the procedures that p calls, directly or not, and that another has to stand in for.
func (s *Server) readReached(p *procedure, d statement.Dialect) error {
	if !p.program.Calls {
		return nil
	}
	known, err := s.readCallables(false)
	if err != nil {
		return err
	}
	g := callGraph{server: s, known: known, dialect: d, read: make(map[[2]string]*procedure), all: []*procedure{p}}
	g.read[[2]string{p.Database, p.Name}] = p
	for i := 0; i < len(g.all) && len(g.all) <= maxReached; i++ {
		if err := g.readCalls(g.all[i]); err != nil {
			return err
		}
	}
	g.keepStepped()
	if len(g.all) > maxReached {
		for _, q := range g.all {
			q.calls = nil
		}
	}
	p.reached = reachedFrom(p)
	return nil
}

// callGraph is a procedure and those that it calls.
type callGraph struct {
	server  *Server
	known   *callableSet
	dialect statement.Dialect
	read    map[[2]string]*procedure // by names as said, and as stored; nil where one has no steps that it could be executed with
	all     []*procedure
}

func (g *callGraph) readCalls(p *procedure) error {
	p.calls, p.failing = make(map[int]*procedure), make(map[int]bool)
	for i := range p.program.Steps {
		step := &p.program.Steps[i]
		if step.Call == nil {
			continue
		}
		database := step.Call.Database
		if database == "" {
			database = p.Database
		}
		// Most procedures lead to none of these, and need not be read.
		if g.known.mayLead(statement.ReadNames(step.Text, p.dialect), p.Database) == nil {
			continue
		}
		callee, err := g.find(database, step.Call.Name)
		if err != nil {
			return err
		}
		switch {
		case callee == nil:
		case len(step.Call.Arguments) == len(callee.Parameters):
			p.calls[i] = callee
		default:
			p.failing[i] = true
		}
	}
	return nil
}

func (g *callGraph) find(database, name string) (*procedure, error) {
	said := [2]string{database, name}
	if p, ok := g.read[said]; ok {
		return p, nil
	}
	p, err := g.server.readStored(database, name, g.dialect)
	if err != nil {
		return nil, err
	}
	if p != nil {
		stored := [2]string{p.Database, p.Name}
		if before, ok := g.read[stored]; ok {
			p = before
		} else {
			g.read[stored] = p
			g.all = append(g.all, p)
		}
	}
	g.read[said] = p
	return p, nil
}

// keepStepped forgets calls of those that lead to no steps.
func (g *callGraph) keepStepped() {
	leads := make(map[*procedure]bool)
	for changed := true; changed; {
		changed = false
		for _, p := range g.all {
			is := p.program.Stepped()
			for _, callee := range p.calls {
				is = is || leads[callee]
			}
			changed = changed || is != leads[p]
			leads[p] = is
		}
	}
	for _, p := range g.all {
		for i, callee := range p.calls {
			if !leads[callee] {
				delete(p.calls, i)
			}
		}
	}
}

// reachedFrom returns those that stand-ins are called for in p and in each other.
func reachedFrom(p *procedure) (reached []*procedure) {
	seen := make(map[*procedure]bool)
	var walk func(p *procedure)
	walk = func(p *procedure) {
		for i := range p.program.Steps {
			if callee := p.calls[i]; callee != nil && !seen[callee] {
				seen[callee] = true
				reached = append(reached, callee)
				walk(callee)
			}
		}
	}
	walk(p)
	return reached
}

// says is what p may call, but for the calls of stand-ins; nothing where it says no other call.
func (p *procedure) says() (m mention) {
	text := p.program.Replaced(func(i int, step *statement.Step) string {
		if p.calls[i] == nil && !p.failing[i] {
			return step.Text
		}
		return "DO (" + strings.Join(step.Call.Arguments, ", ") + ")"
	})
	if !statement.MentionsWord(text, p.dialect, "CALL") {
		return m
	}
	return mentionOf(text, p.dialect)
}

// unseenIn returns a procedure that the server must not execute by itself, and that p, or one that it reaches, may call so, and why.
func (s *Server) unseenIn(p *procedure) (found *callable, why string, err error) {
	for _, q := range append([]*procedure{p}, p.reached...) {
		if !q.program.Calls {
			continue
		}
		says := q.says()
		if says.names == nil {
			continue
		}
		known, err := s.readCallables(false)
		if err != nil {
			return nil, "", err
		}
		if found, why := known.unseen(says, q.Database); found != nil {
			return found, why, nil
		}
	}
	return nil, "", nil
}
