package mysql

import (
	"strings"
	"testing"
)

// What a name has in it is not read as SQL by the questions of the node's own about it, in a session in which a backslash means nothing.
func TestNamesInQuestions(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (a INT)", "CREATE USER u@'%'", "GRANT SELECT ON app.* TO u@'%'")
	session := account(t, leader, "u", "")
	for _, text := range []string{"SET sql_mode=''", "SET sql_mode='NO_BACKSLASH_ESCAPES'"} {
		if got := show(t.Context(), session, text); got != "[]" {
			t.Fatalf("%s: %s", text, got)
		}
		if got := show(t.Context(), session, "LOCK TABLES `' OR 1=1 -- `.t WRITE"); !strings.HasPrefix(got, "1142 ") {
			t.Errorf("behind %s an account without the privilege is told: %s", text, got)
		}
	}
	owner := oneConn(t, db)
	for _, text := range []string{"SET sql_mode=''", "SET sql_mode='NO_BACKSLASH_ESCAPES'"} {
		if got := show(t.Context(), owner, text); got != "[]" {
			t.Fatalf("%s: %s", text, got)
		}
		if got := show(t.Context(), owner, "SET GLOBAL `nosuch' OR 1=1 -- `=1"); got != "1193 HY000 Unknown system variable 'nosuch' or 1=1 -- '" {
			t.Errorf("behind %s: %s", text, got)
		}
	}
}
