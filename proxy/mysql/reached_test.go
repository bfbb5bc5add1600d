package mysql

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

var update = flag.Bool("update", false, "write testdata/nested.golden anew: read the difference before it is committed")

func newProcedure(name, body string, parameters ...appliers.Parameter) *procedure {
	p := &procedure{Procedure: appliers.Procedure{Database: "app", Name: name, Body: body, Definer: "dba@%", Parameters: parameters}, dialect: statement.Dialect{MariaDB: true, Version: 101119}}
	p.program, _ = statement.ReadProgram(body, p.dialect)
	return p
}

// link has procedures call each other by what their bodies say.
func link(all ...*procedure) *callGraph {
	g := &callGraph{all: all}
	for _, p := range all {
		p.calls = make(map[int]*procedure)
		for i, step := range p.program.Steps {
			if at := slices.IndexFunc(all, func(q *procedure) bool { return step.Call != nil && q.Name == step.Call.Name }); at >= 0 {
				p.calls[i] = all[at]
			}
		}
	}
	return g
}

// Others stand in for procedures with steps, and for those that lead to such ones; what is called besides is left to the server, and its names are looked at.
func TestReached(t *testing.T) {
	commits, plain := newProcedure("commits", "BEGIN INSERT INTO t VALUES (1); COMMIT; END"), newProcedure("plain", "BEGIN CALL more_plain(); END")
	middle := newProcedure("middle", "CALL commits()")
	round, back := newProcedure("round", "BEGIN CALL back(); COMMIT; END"), newProcedure("back", "CALL round()")
	first := newProcedure("first", "BEGIN CALL plain(a); CALL middle(b, (SELECT c)); IF x THEN CALL round(); END IF; CALL unknown(d); END")
	g := link(first, middle, commits, plain, newProcedure("more_plain", "CALL plain()"), round, back)
	g.keepStepped()
	var reached []string
	for _, p := range reachedFrom(first) {
		reached = append(reached, p.Name)
	}
	if got := strings.Join(reached, " "); got != "middle commits round back" {
		t.Errorf("reached are %s", got)
	}
	names := first.says().names
	for name, want := range map[string]bool{"plain": true, "unknown": true, "a": true, "b": true, "c": true, "middle": false, "round": false} {
		if names.Has(name) != want {
			t.Errorf("the names that remain have %s: %t", name, !want)
		}
	}
	if middle.says().names != nil || commits.says().names != nil {
		t.Error("what calls nothing but stand-ins has names that remain")
	}
}

// What the server is sent in the place of a procedure that calls another one, and what stands in for that.
func TestNestedTexts(t *testing.T) {
	callee := newProcedure("inner", "BEGIN\n  INSERT INTO t\n  VALUES (a);\n  COMMIT;\nEND", appliers.Parameter{Mode: "IN", Name: "a", Declared: "int(11)"}, appliers.Parameter{Mode: "OUT", Name: "b", Declared: "int(11)"})
	outer := newProcedure("outermost", "BEGIN\n  DECLARE x INT;\n  CALL inner(\n    1 + 1,\n    x); -- called\nEND")
	link(outer, callee).keepStepped()
	outer.reached = reachedFrom(outer)
	r := &programRun{level: &level{p: outer}, s: &session{id: 42}, tag: "0123456789ab", leader: 7, locks: "nexus-0123456789abcdef-", standIns: map[*procedure]*standIn{callee: {name: appliers.StandInProcedure + "0123456789abcdef"}}}
	xa := &appliers.Transaction{}
	stored, body := r.calledStandIn(callee, xa)
	text := strings.Join([]string{r.text(outer, []string{}, xa), stored.Parameters[0].Name + " " + stored.Parameters[0].Declared, body}, "\n\n") + "\n"
	if got, want := strings.Count(body, "\n"), strings.Count(callee.Body, "\n")+2; got != want {
		t.Errorf("what stands in for it has %d lines, want %d", got, want)
	}
	golden := filepath.Join("testdata", "nested.golden")
	// A statement for each line is read more easily.
	text = strings.ReplaceAll(text, "; ", ";\n\t")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
