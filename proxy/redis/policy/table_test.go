package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

// TestTableIsTheServers compares every row with what COMMAND reports.
func TestTableIsTheServers(t *testing.T) {
	table := NewTable()
	seen := make(map[string]bool)
	var walk func(entry []any)
	walk = func(entry []any) {
		name, arity := entry[0].(string), int(entry[1].(int64))
		if subs := entry[9].([]any); len(subs) > 0 {
			n := table.commands[name]
			if n == nil || n.subs == nil || n.spec.Arity != arity {
				t.Errorf("container %s with arity %d: table has %+v", name, arity, n)
				return
			}
			for _, s := range subs {
				walk(s.([]any))
			}
			return
		}
		seen[name] = true
		s := table.Spec(name)
		if s == nil {
			t.Errorf("%s: missing", name)
			return
		}
		want := Keys{
			First: int(entry[3].(int64)), Last: int(entry[4].(int64)), Step: int(entry[5].(int64)),
			Movable: slices.Contains(entry[2].([]any), any("movablekeys")),
			Wide:    s.Keys.Wide,
		}
		if s.Name != name || s.Arity != arity || s.Keys != want {
			t.Errorf("%s: table %s %d %+v, server %d %+v", name, s.Name, s.Arity, s.Keys, arity, want)
		}
		write := slices.Contains(entry[2].([]any), any("write"))
		if write && s.Policy != Refused && !s.Policy.Writes() {
			t.Errorf("%s: a write, yet its policy is %s", name, s.Policy)
		}
	}
	for _, e := range redistest.Dial(t).Do("COMMAND").([]any) {
		walk(e.([]any))
	}
	if len(seen) != 351 || len(leaves) != 351 {
		t.Errorf("server has %d leaf commands, table has %d, want 351", len(seen), len(leaves))
	}
	for i, s := range table.Specs() {
		if !seen[s.Name] && !isLater(s) {
			t.Errorf("%s: the server has no such command", s.Name)
		}
		if i > 0 && table.Specs()[i-1].Name >= s.Name {
			t.Errorf("%s: out of order", s.Name)
		}
	}
}

func TestTableIsComplete(t *testing.T) {
	table := NewTable()
	for _, s := range table.Specs() {
		if (s.Policy == Refused) != (s.Note != "") {
			t.Errorf("%s: policy %s with note %q", s.Name, s.Policy, s.Note)
		}
		if len(s.Name) > maxName || s.Name != strings.ToLower(s.Name) {
			t.Errorf("%s: a name that Lookup cannot find", s.Name)
		}
	}
	for name := range resolvers {
		if table.Spec(name) == nil {
			t.Errorf("resolver of unknown command %s", name)
		}
	}
	for name := range keyFinders {
		if table.Spec(name) == nil {
			t.Errorf("key finder of unknown command %s", name)
		}
	}
	if table.Spec("config") != nil || table.Spec("nosuch") != nil || table.Spec("get|x") != nil {
		t.Error("Spec finds what is no leaf command")
	}
}

// sampleArgs calls a command with n arguments in all.
func sampleArgs(name string, n int) [][]byte {
	args := words(strings.Split(name, "|")...)
	for i := len(args); i < n; i++ {
		args = append(args, fmt.Appendf(nil, "arg%d", i))
	}
	return args
}

// isLater reports whether the server that the tests use does not have the command.
func isLater(s *Spec) bool {
	return slices.ContainsFunc(later[:], func(l Spec) bool { return l.Name == s.Name })
}

// notQueued are the commands that Redis runs at once inside of MULTI, and SAVE, which it refuses there.
var notQueued = []string{"exec", "discard", "multi", "watch", "quit", "reset", "save"}

// TestQueueing: what Lookup lets pass is queued by the server, and what the
// server does not queue for want of arguments has the same error from Lookup.
func TestQueueing(t *testing.T) {
	c, table := redistest.Dial(t), NewTable()
	for _, s := range table.Specs() {
		if slices.Contains(notQueued, s.Name) || isLater(s) {
			continue
		}
		for n := 1 + strings.Count(s.Name, "|"); n <= 10; n++ {
			args := sampleArgs(s.Name, n)
			d := table.Lookup(args, testContext)
			c.Do("MULTI")
			got := c.DoArgs(args)
			c.Do("DISCARD")
			malformed := d.Err == wrongArity(s.Name)
			switch {
			case malformed && got != any(redistest.Error(d.Err)) && s.Name != "ping":
				t.Errorf("%q: Lookup says %q, server %q", args, d.Err, got)
			case !malformed && d.Policy != Refused && got != any("QUEUED"):
				t.Errorf("%q: Lookup says %s, server %q", args, d.Policy, got)
			}
		}
	}
	for i := range containers {
		s := &containers[i]
		if s.Arity == -1 {
			continue
		}
		args := words(s.Name)
		if want, got := c.DoArgs(args), table.Lookup(args, testContext).Err; want != any(redistest.Error(got)) {
			t.Errorf("%s: Lookup says %q, server %q", s.Name, got, want)
		}
	}
}

var testContext = Context{Databases: 16, ReservedDB: 13}
