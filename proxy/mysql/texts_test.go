package mysql

import (
	"testing"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// What the server may be brought to execute unseen is found through whatever calls it, and nothing else is.
func TestUnseen(t *testing.T) {
	d := statement.Dialect{MariaDB: true, Version: 101119}
	known := []*callable{
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
	}
	for _, tc := range []struct{ text, database, want string }{
		{"CALL raw('a')", "app", "raw"}, {"CALL RAW('a')", "App", "raw"}, {"CALL app.raw('a')", "", "raw"}, {"CALL raw('a')", "other", ""}, {"CALL raw('a')", anyDatabase, "raw"},
		{"CALL outer", "app", "raw"}, {"CALL round()", "app", ""}, {"CALL reads()", "app", ""}, {"CALL far()", "other", "raw"}, {"CALL near()", "other", ""},
		{"CALL tells()", "app", ""}, {"CALL sys.diagnostics()", "app", "diagnostics"}, {"CALL old()", "app", "old"}, {"CALL pack.a()", "app", "raw"},
		{"BEGIN NOT ATOMIC IF 1 THEN CALL middle(); END IF; END", "app", "raw"}, {"CALL räw()", "app", "raw"},
	} {
		got := ""
		if found := unseen(known, statement.ReadNames(tc.text, d), tc.database); found != nil {
			got = found.name
		}
		if got != tc.want {
			t.Errorf("%s in %s: got %q, want %q", tc.text, tc.database, got, tc.want)
		}
	}
}
