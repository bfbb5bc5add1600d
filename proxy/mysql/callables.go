package mysql

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// callables are the procedures of the server as of so many schema changes.
type callables struct {
	mu      sync.Mutex
	changes uint64
	known   *callableSet // nil until they were read
}

// callable is a procedure, or a package of them.
type callable struct {
	database, name string
	says           mention
	unseen         string // why the server must not execute it by itself; "" where it may
	stepped        bool   // it has steps, or sets autocommit
	loses          bool   // it may lose what its transaction has written: see loss.go
	digest         [sha256.Size]byte
	at             int // in its set
}

// mention is what a text may call.
type mention struct {
	names  statement.Names // of that, and others
	called statement.Names // of that alone, and of databases, as it is said plainly
}

func mentionOf(text string, d statement.Dialect) mention {
	return mention{statement.ReadNames(text, d), statement.ReadCalled(text, d)}
}

// callableSet finds callables by names.
type callableSet struct {
	byName map[string][]*callable // as statement.Names has them
	others []*callable            // whose names are not all in ASCII, and may be said in other letters
	all    []*callable
}

func newCallableSet(all []*callable) *callableSet {
	set := &callableSet{byName: make(map[string][]*callable, len(all)), all: all}
	for i, p := range all {
		p.at = i
		if name := statement.FoldName(p.name); isASCII(name) {
			set.byName[name] = append(set.byName[name], p)
		} else {
			set.others = append(set.others, p)
		}
	}
	return set
}

// named returns those that names may be of, in the order of the set.
func (set *callableSet) named(names statement.Names) (found []*callable) {
	if names.Any() {
		return set.all
	}
	for name := range names {
		found = append(found, set.byName[name]...)
	}
	for _, p := range set.others {
		if names.Has(p.name) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *callable) int { return cmp.Compare(a.at, b.at) })
	return found
}

// callablesTimeout bounds the reading of all procedures.
const callablesTimeout = 10 * time.Second

// readCallables returns the procedures of the server; those of this very moment if anew is set.
func (s *Server) readCallables(anew bool) (*callableSet, error) {
	c := &s.callables
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := s.backend.SchemaChanges() // before: what changes meanwhile is read again
	if !anew && c.known != nil && c.changes == changes {
		return c.known, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, callablesTimeout)
	defer cancel()
	programs, err := s.backend.Programs(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	c.changes, c.known = changes, c.known.renewed(programs, s.dialect())
	return c.known, nil
}

// renewed returns the set of what is there now. To look through a body takes longer than to read it, so that is done where it has changed.
func (set *callableSet) renewed(programs []appliers.StoredProgram, d statement.Dialect) *callableSet {
	before := make(map[[2]string]*callable)
	if set != nil {
		for _, p := range set.all {
			before[[2]string{p.database, p.name}] = p
		}
	}
	all := make([]*callable, 0, len(programs))
	for i := range programs {
		p := &programs[i]
		next := &callable{database: statement.FoldName(p.Database), name: p.Name, digest: digestOf(p)}
		if old := before[[2]string{next.database, next.name}]; old != nil && old.digest == next.digest {
			next.says, next.unseen, next.stepped, next.loses = old.says, old.unseen, old.stepped, old.loses // in a set of its own: others may be reading the old one
		} else {
			next.look(p.Body, withMode(d, p.Mode), hasWord(p.Mode, "ORACLE"))
		}
		all = append(all, next)
	}
	return newCallableSet(all)
}

func digestOf(p *appliers.StoredProgram) [sha256.Size]byte {
	return sha256.Sum256([]byte(p.Mode + "\x00" + p.Body))
}

// look looks through the body.
func (p *callable) look(body string, d statement.Dialect, oracle bool) {
	if oracle || statement.MentionsWord(body, d, "CALL") { // in that mode a name is enough to call
		p.says = mentionOf(body, d)
	}
	p.unseen = statement.ReachesPast(body, d)
	if statement.ExecutesTexts(body, d) {
		p.unseen = textsUnseen
	}
	program, _ := statement.ReadProgram(body, d)
	p.stepped = program.Stepped() || program.Autocommit
	p.loses = makesTemporary(body, d) || p.unseen == textsUnseen
}

// needsNode reports whether the server must not, or cannot, execute it by itself.
func (p *callable) needsNode() bool { return p.unseen != "" || p.stepped }

// anyDatabase is for a text that may be read with another default database than that of now.
const anyDatabase = "*"

// stepsUnseen is for a procedure that has to be led through its steps. Inside of XA these fail, and a handler may pass over that: what the procedure
// rolls back would be committed.
const stepsUnseen = "it begins or ends transactions, sets autocommit or changes the schema. Such a one the client has to call by CALL, as a text or prepared by its driver, without a cursor and " +
	"without parameters sent apart (COM_STMT_SEND_LONG_DATA), or one that it calls so; and it must not say AND CHAIN, RELEASE, READ ONLY, CONSISTENT SNAPSHOT or SET autocommit, nor be made in the mode ORACLE"

// unseen returns a procedure that the server must not execute by itself, and that a text may call in a database, and why.
func (set *callableSet) unseen(m mention, database string) (found *callable, why string) {
	if found = set.find(m.names, database, (*callable).names, func(p *callable) bool { return p.unseen != "" }); found != nil {
		return found, found.unseen
	}
	return set.find(m.called, database, (*callable).called, func(p *callable) bool { return p.stepped }), stepsUnseen
}

func (p *callable) names() statement.Names  { return p.says.names }
func (p *callable) called() statement.Names { return p.says.called }

// mayLead returns a procedure that needs the node, and that a text with these names may call in a database.
func (set *callableSet) mayLead(names statement.Names, database string) *callable {
	return set.find(names, database, (*callable).names, (*callable).needsNode)
}

// mayLose returns whether a procedure that a text with these names may call may lose something of its transaction.
func (set *callableSet) mayLose(names statement.Names) bool {
	return set.find(names, anyDatabase, (*callable).names, func(p *callable) bool { return p.loses }) != nil
}

// find returns a procedure that is one of those wanted, and that a text with these names may call in a database. What a procedure calls in turn tells further.
func (set *callableSet) find(names statement.Names, database string, further func(*callable) statement.Names, wanted func(*callable) bool) *callable {
	seen := make(map[*callable]bool)
	var search func(names statement.Names, database string) *callable
	search = func(names statement.Names, database string) *callable {
		for _, p := range set.named(names) {
			if seen[p] || database != anyDatabase && p.database != database && !names.Has(p.database) {
				continue
			}
			seen[p] = true
			if wanted(p) {
				return p
			}
			if found := search(further(p), p.database); found != nil {
				return found
			}
		}
		return nil
	}
	if database != anyDatabase {
		database = statement.FoldName(database)
	}
	return search(names, database)
}
