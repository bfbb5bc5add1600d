package policy

import (
	"fmt"
	"slices"
	"strings"
)

// maxName is longer than any name in the table; a longer one is unknown.
const maxName = 32

// Table finds commands by name. It is immutable and safe for concurrent use.
type Table struct {
	commands map[string]*node
	specs    []*Spec
	names    []string
}

// node is what the first word of a command leads to.
type node struct {
	spec *Spec
	subs map[string]*Spec // nil if the command has no subcommands
}

// NewTable builds the table. One is enough for a process.
func NewTable() *Table {
	t := &Table{commands: make(map[string]*node), specs: make([]*Spec, 0, len(leaves))}
	for i := range containers {
		s := containers[i]
		t.number(&s)
		t.commands[s.Name] = &node{spec: &s, subs: make(map[string]*Spec)}
	}
	for _, s := range slices.Concat(leaves[:], later[:]) {
		s.resolve = resolvers[s.Name]
		s.find = keyFinders[s.Name]
		s.block = blockers[s.Name]
		s.Grows = growing[s.Name]
		if s.Policy == Refused && s.reply == "" {
			s.reply = refusal(s.Name, s.Note)
		}
		t.number(&s)
		t.specs = append(t.specs, &s)
		if parent, sub, ok := cutName(s.Name); ok {
			t.commands[parent].subs[sub] = &s
		} else {
			t.commands[s.Name] = &node{spec: &s}
		}
	}
	slices.SortFunc(t.specs, func(a, b *Spec) int { return strings.Compare(a.Name, b.Name) })
	nexus := &Spec{Name: "nexus", Arity: -2}
	t.number(nexus)
	t.commands["nexus"] = &node{spec: nexus, subs: make(map[string]*Spec)}
	for i := range own {
		s := own[i]
		t.number(&s)
		_, sub, _ := cutName(s.Name)
		t.commands["nexus"].subs[sub] = &s
	}
	return t
}

func (t *Table) number(s *Spec) {
	s.Index = len(t.names)
	t.names = append(t.names, s.Name)
}

func cutName(name string) (parent, sub string, ok bool) {
	for i := 0; i < len(name); i++ {
		if name[i] == '|' {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}

// Names returns the names of all rows, those of containers and of Nexus's own commands included, by Spec.Index. The
// caller must not change them.
func (t *Table) Names() []string { return t.names }

// Specs returns the rows of all leaf commands of Redis in the order of their names. The
// caller must not change them.
func (t *Table) Specs() []*Spec { return t.specs }

// Spec returns the row of a leaf command by its full name in lower case, such
// as "config|get", or nil.
func (t *Table) Spec(name string) *Spec {
	parent, sub, nested := cutName(name)
	n := t.commands[parent]
	switch {
	case n == nil:
		return nil
	case nested:
		return n.subs[sub]
	case n.subs != nil:
		return nil
	}
	return n.spec
}

// Lookup decides about a command. It makes every check that Redis makes before
// it queues a command in a transaction, so a command that comes back without
// Err is never the reason for an EXECABORT. It does not keep args.
//
// Like all of the hot path it does not allocate, unless there is an error.
func (t *Table) Lookup(args [][]byte, ctx Context) Decision {
	if len(args) == 0 {
		return Decision{Err: unknownCommand([][]byte{nil})}
	}
	var name [maxName]byte
	n := t.commands[string(lower(&name, args[0]))]
	if n == nil {
		return Decision{Err: unknownCommand(args)}
	}
	spec := n.spec
	if n.subs != nil && len(args) > 1 {
		spec = n.subs[string(lower(&name, args[1]))]
		if spec == nil {
			return Decision{Err: unknownSubcommand(n.spec.Name, args[1])}
		}
	}
	if len(args) != spec.Arity && (spec.Arity > 0 || len(args) < -spec.Arity) {
		return Decision{Spec: spec, Err: wrongArity(spec.Name)}
	}
	if spec.Policy == Refused {
		return Decision{Spec: spec, Err: spec.reply}
	}
	if spec.resolve == nil {
		return Decision{Spec: spec, Policy: spec.Policy}
	}
	p, err := spec.resolve(args, ctx)
	if err != "" {
		p = Refused
	}
	return Decision{Spec: spec, Policy: p, Err: err}
}

// lower writes b in lower case to buf. It returns nil, which no command is
// called, if b is too long for any name.
func lower(buf *[maxName]byte, b []byte) []byte {
	if len(b) > maxName {
		return nil
	}
	for i, c := range b {
		buf[i] = lowerByte(c)
	}
	return buf[:len(b)]
}

// refusal is the error for a command that Nexus does not run.
func refusal(name, note string) string {
	return fmt.Sprintf("ERR command '%s' is refused by Nexus: %s", name, note)
}
