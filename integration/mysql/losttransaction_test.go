package mysql

import (
	"strings"
	"testing"
	"time"
)

// A CREATE TEMPORARY TABLE ... SELECT that fails amid its rows makes the server lose what was written before, but not from its binary log. No other server gets that then.
func TestLostTransaction(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	const fails = "CREATE TEMPORARY TABLE failed (UNIQUE (a)) SELECT 1 AS a UNION ALL SELECT 1"
	const handler = "DECLARE CONTINUE HANDLER FOR 1062 BEGIN END; "
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.log (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100))",
		"CREATE FUNCTION app.f(w VARCHAR(100)) RETURNS INT BEGIN INSERT INTO log (what) VALUES (w); RETURN 1; END",
		"CREATE PROCEDURE app.handles() BEGIN "+handler+"INSERT INTO log (what) VALUES ('handles'); "+fails+"; INSERT INTO log (what) VALUES ('behind'); END",
		"CREATE PROCEDURE app.harmless() BEGIN DECLARE CONTINUE HANDLER FOR SQLWARNING INSERT INTO log (what) VALUES ('warned'); INSERT INTO log (what) VALUES ('harmless'); CREATE OR REPLACE TEMPORARY TABLE made SELECT 1 AS a; COMMIT; INSERT INTO log (what) VALUES ('more'); COMMIT; END")
	for _, tc := range []struct{ texts, want string }{
		{"BEGIN; INSERT INTO log (what) VALUES ('lost'); " + fails + "; INSERT INTO log (what) VALUES ('behind'); COMMIT", ""},
		{"BEGIN; INSERT INTO log (what) VALUES ('lost'); " + fails + "; SAVEPOINT s; INSERT INTO log (what) VALUES ('behind'); ROLLBACK TO s; COMMIT", ""},
		{"BEGIN; INSERT INTO log (what) VALUES ('lost'); CALL handles(); COMMIT", ""},
		{"PREPARE p FROM '" + fails + "'; BEGIN; INSERT INTO log (what) VALUES ('lost'); EXECUTE p; COMMIT", ""},
		{"SET autocommit=0; INSERT INTO log (what) VALUES ('lost'); " + fails + "; COMMIT; SET autocommit=1", ""},
		{"BEGIN; SELECT f('lost'); " + fails + "; INSERT INTO log (what) VALUES ('behind'); COMMIT", ""},
		{"BEGIN; INSERT INTO log (what) VALUES ('lost'); CREATE TEMPORARY TABLE failed (UNIQUE (row_count)) SELECT 1 AS row_count UNION ALL SELECT 1; COMMIT", ""},
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); CREATE TEMPORARY TABLE ten SELECT ROW_COUNT() AS n; COMMIT", "kept"}, // refused
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); CREATE TEMPORARY TABLE eleven (a INT); SAVEPOINT a; INSERT INTO log (what) VALUES ('too'); SET sql_mode='ANSI_QUOTES'; SAVEPOINT a; " +
			"INSERT INTO log (what) VALUES ('back'); SET sql_mode=''; ROLLBACK TO a; COMMIT", "kept,too"},
		{"BEGIN; INSERT INTO log (what) VALUES ('lost'); CREATE TEMPORARY TABLE twelve (a INT); SAVEPOINT e; SAVEPOINT `é`; INSERT INTO log (what) VALUES ('back'); ROLLBACK TO e; COMMIT", ""}, // refused
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); CREATE TEMPORARY TABLE one SELECT 1 AS a; INSERT INTO log (what) VALUES ('too'); COMMIT", "kept,too"},
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); SAVEPOINT s; CREATE TEMPORARY TABLE two SELECT 1 AS a; INSERT INTO log (what) VALUES ('back'); ROLLBACK TO s; INSERT INTO log (what) VALUES ('too'); COMMIT", "kept,too"},
		{"BEGIN; CREATE TEMPORARY TABLE three SELECT 1 AS a; SAVEPOINT s; INSERT INTO log (what) VALUES ('back'); ROLLBACK TO SAVEPOINT s; CREATE TEMPORARY TABLE four SELECT 1 AS a; INSERT INTO log (what) VALUES ('kept'); COMMIT", "kept"},
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); CREATE TEMPORARY TABLE eight SELECT 1 AS a; SAVEPOINT s; INSERT INTO log (what) VALUES ('back'); SAVEPOINT t; DELETE FROM log; ROLLBACK TO t; ROLLBACK TO S; INSERT INTO log (what) VALUES ('too'); COMMIT", "kept,too"},
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); CREATE TEMPORARY TABLE nine (a INT); SAVEPOINT `a b`; INSERT INTO log (what) VALUES ('back'); ROLLBACK TO SAVEPOINT `a b`; COMMIT", "kept"},
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); CREATE TEMPORARY TABLE five SELECT nosuch; COMMIT", "kept"},
		{"CALL harmless()", "harmless,more"},
		{"BEGIN; INSERT INTO log (what) VALUES ('kept'); CREATE TEMPORARY TABLE six SELECT 1 AS a; CALL harmless()", "kept,harmless,more"},
	} {
		conn := oneConn(t, open(t, leader)) // which a procedure that has lost its transaction loses too
		exec(t, conn, "USE app")
		for _, text := range strings.Split(tc.texts, "; ") {
			if _, err := conn.ExecContext(within(t, 40*time.Second), text); err != nil {
				if c := code(err); c != 1062 && c != 1180 && c != 1213 && c != 1235 && c != 1054 {
					t.Errorf("%s: %s: %v", tc.texts, text, err)
				}
				t.Logf("%s: %v", text, err)
			}
		}
		if strings.HasPrefix(tc.want, "kept") {
			if got := mustQuery(t, conn, "SHOW WARNINGS"); got != "" {
				t.Errorf("%s: warnings %s", tc.texts, got)
			}
		}
		conn.Close()
		if got := mustQuery(t, db, "SELECT GROUP_CONCAT(what ORDER BY n) FROM app.log"); got != tc.want {
			t.Errorf("%s: the leader holds %q, want %q", tc.texts, got, tc.want)
		}
		awaitEqual(t, c)
		execute(t, db, "DELETE FROM app.log")
	}
	checkNothingLeft(t, c)
}
