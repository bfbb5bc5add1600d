package mysql

import (
	"slices"
	"testing"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

func newCallable(database, name, body string, d statement.Dialect, oracle bool) *callable {
	p := &callable{database: statement.FoldName(database), name: name}
	p.look(body, d, oracle)
	return p
}

// What the server may be brought to execute unseen is found through whatever calls it, and nothing else is.
func TestUnseen(t *testing.T) {
	d := statement.Dialect{MariaDB: true, Version: 101119}
	known := newCallableSet([]*callable{
		newCallable("app", "raw", "EXECUTE IMMEDIATE t", d, false),
		newCallable("app", "outer", "BEGIN CALL middle(); END", d, false),
		newCallable("app", "middle", "BEGIN CALL `raw`('x'); END", d, false),
		newCallable("app", "round", "BEGIN CALL round(); END", d, false),
		newCallable("app", "reads", "SELECT * FROM raw", d, false),
		newCallable("other", "far", "CALL app.outer()", d, false),
		newCallable("other", "near", "CALL outer()", d, false),
		newCallable("sys", "diagnostics", "BEGIN PREPARE s FROM @a; END", d, false),
		newCallable("app", "tells", "BEGIN CALL round(); GET DIAGNOSTICS @a=ROW_COUNT; END", d, false),
		newCallable("app", "old", "XA COMMIT 'x'", d, false),
		newCallable("app", "pack", "PROCEDURE a IS BEGIN raw(1); END;", d, true),
		newCallable("app", "größe", "EXECUTE IMMEDIATE t", d, false),
	})
	for _, tc := range []struct{ text, database, want string }{
		{"CALL raw('a')", "app", "raw"}, {"CALL RAW('a')", "App", "raw"}, {"CALL app.raw('a')", "", "raw"}, {"CALL raw('a')", "other", ""}, {"CALL raw('a')", anyDatabase, "raw"},
		{"CALL outer", "app", "raw"}, {"CALL round()", "app", ""}, {"CALL reads()", "app", ""}, {"CALL far()", "other", "raw"}, {"CALL near()", "other", ""},
		{"CALL tells()", "app", ""}, {"CALL sys.diagnostics()", "app", "diagnostics"}, {"CALL old()", "app", "old"}, {"CALL pack.a()", "app", "raw"},
		{"BEGIN NOT ATOMIC IF 1 THEN CALL middle(); END IF; END", "app", "raw"}, {"CALL räw()", "app", "raw"}, {"CALL grosse()", "app", ""}, {"CALL grobe()", "app", "größe"},
	} {
		got := ""
		if found, _ := known.unseen(mentionOf(tc.text, d), tc.database); found != nil {
			got = found.name
		}
		if got != tc.want {
			t.Errorf("%s in %s: got %q, want %q", tc.text, tc.database, got, tc.want)
		}
	}
}

// After a schema change only what has changed is looked through again, and nothing of what was there before is left.
func TestRenewedCallables(t *testing.T) {
	d := statement.Dialect{MariaDB: true, Version: 101119}
	programs := []appliers.StoredProgram{
		{Database: "app", Name: "same", Body: "CALL raw('x')"}, {Database: "app", Name: "raw", Body: "EXECUTE IMMEDIATE t"}, {Database: "app", Name: "gone", Body: "EXECUTE IMMEDIATE t"},
		{Database: "app", Name: "quoted", Body: `SET @a="' EXECUTE s '"`},
	}
	first := (*callableSet)(nil).renewed(programs, d)
	programs = slices.Delete(programs, 2, 3)
	programs[1].Body, programs[2].Mode = "SELECT 1", "ANSI_QUOTES"
	second := first.renewed(programs, d)
	for _, tc := range []struct {
		text    string
		was, is bool
	}{{"CALL same()", true, false}, {"CALL raw('x')", true, false}, {"CALL gone()", true, false}, {"CALL quoted()", false, false}} {
		isUnseen := func(set *callableSet) bool {
			found, _ := set.unseen(mentionOf(tc.text, d), "app")
			return found != nil
		}
		if was, is := isUnseen(first), isUnseen(second); was != tc.was || is != tc.is {
			t.Errorf("%s: unseen %t, then %t", tc.text, was, is)
		}
	}
	programs[1].Body = "EXECUTE IMMEDIATE t"
	if found, _ := second.renewed(programs, d).unseen(mentionOf("CALL same()", d), "app"); found == nil {
		t.Error("what a procedure has come to be is not noticed by who calls it")
	}
}
