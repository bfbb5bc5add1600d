package mysql

import (
	"strings"
	"testing"
	"time"
)

// Programs that make temporary tables by a query, and handle its errors, lose what their transaction has written before. No other server gets that then.
func TestLostTransactionOfPrograms(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	const handler = "DECLARE CONTINUE HANDLER FOR 1062 BEGIN END; "
	const fails = "CREATE OR REPLACE TEMPORARY TABLE failed (UNIQUE (a)) SELECT 1 AS a UNION ALL SELECT 1; "
	write := func(what string) string { return "INSERT INTO log (what) VALUES ('" + what + "'); " }
	lost, kept, more, behind := write("lost"), write("kept"), write("more"), write("behind")
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.log (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100))", "CREATE TABLE app.seen (a INT)",
		"CREATE PROCEDURE app.inner1() BEGIN "+handler+fails+behind+"END",
		"CREATE FUNCTION app.f() RETURNS INT BEGIN "+handler+kept+fails+more+"RETURN 1; END",
		"CREATE FUNCTION app.h() RETURNS INT BEGIN "+kept+"CALL inner1(); RETURN 1; END",
		"CREATE TRIGGER app.seen BEFORE INSERT ON app.seen FOR EACH ROW BEGIN "+handler+kept+fails+more+"END",
		"CREATE PROCEDURE app.plain() BEGIN "+handler+lost+fails+behind+"END",
		"CREATE PROCEDURE app.calls() BEGIN "+lost+"CALL inner1(); END",
		"CREATE PROCEDURE app.stepped() BEGIN "+handler+lost+fails+behind+"COMMIT; "+behind+"COMMIT; END",
		"CREATE PROCEDURE app.second() BEGIN "+handler+kept+"COMMIT; "+lost+fails+behind+"COMMIT; END",
		"CREATE PROCEDURE app.schema() BEGIN "+handler+kept+"CREATE OR REPLACE TABLE made (a INT); "+lost+fails+behind+"CREATE OR REPLACE TABLE made (a INT); END",
		"CREATE PROCEDURE app.rolls() BEGIN "+handler+lost+fails+lost+"ROLLBACK; "+kept+"COMMIT; END",
		"CREATE PROCEDURE app.saves() BEGIN "+handler+kept+"SAVEPOINT s; CREATE OR REPLACE TEMPORARY TABLE made SELECT 1 AS a; "+lost+"ROLLBACK TO s; "+more+"COMMIT; SAVEPOINT s; "+lost+"ROLLBACK TO s; END",
		"CREATE PROCEDURE app.leads() BEGIN "+lost+"CALL inner1(); COMMIT; END",
		"CREATE PROCEDURE app.nests() BEGIN CALL second(); COMMIT; END",
		"CREATE PROCEDURE app.text1() BEGIN "+handler+lost+"EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE failed (UNIQUE (a)) SELECT 1 AS a UNION ALL SELECT 1'; "+behind+"COMMIT; END",
		"CREATE PROCEDURE app.text2() BEGIN "+kept+"COMMIT; "+lost+"EXECUTE IMMEDIATE 'CALL inner1()'; END",
		"CREATE PROCEDURE app.unfinished() BEGIN "+handler+kept+"COMMIT; "+lost+fails+behind+"END",
		"CREATE PROCEDURE app.harmless() BEGIN "+handler+kept+"CREATE OR REPLACE TEMPORARY TABLE made SELECT 1 AS a; "+more+"END",
	)
	for _, tc := range []struct{ text, want string }{
		{"DO f()", "kept,more"},
		{"DO h()", "kept,behind"},
		{"INSERT INTO seen VALUES (1)", "kept,more"},
		{"BEGIN; " + kept + "DO f(); COMMIT", "kept,kept,more"},
		{"CALL harmless()", "kept,more"},
		{"CALL plain()", ""},
		{"CALL calls()", ""},
		{"CALL stepped()", ""},
		{"CALL second()", "kept"},
		{"CALL schema()", "kept"},
		{"CALL rolls()", "kept"},
		{"CALL saves()", "kept,more"},
		{"CALL leads()", ""},
		{"CALL nests()", "kept"},
		{"CALL text1()", ""},
		{"CALL text2()", "kept"},
		{"CALL unfinished()", "kept"},
		{"PREPARE p FROM 'CALL plain()'; EXECUTE p", ""},
		{"BEGIN; " + lost + "CALL second(); COMMIT", "lost,kept"}, // of which the COMMIT is
		{"BEGIN; " + lost + "CALL stepped(); COMMIT", ""},
		{"SET autocommit=0; " + lost + "CALL unfinished(); COMMIT", "lost,kept"},
		{"BEGIN NOT ATOMIC " + handler + lost + fails + behind + "END", ""},
		{"BEGIN NOT ATOMIC " + handler + kept + "COMMIT; " + lost + fails + behind + "COMMIT; END", "kept"},
	} {
		conn := oneConn(t, open(t, leader)) // which may end
		exec(t, conn, "USE app")
		texts := strings.Split(tc.text, "; ")
		if strings.HasPrefix(tc.text, "BEGIN NOT") {
			texts = []string{tc.text}
		}
		for _, text := range texts {
			_, err := conn.ExecContext(within(t, 40*time.Second), text)
			if err != nil && code(err) != 1180 {
				t.Logf("%s: %s: %v", tc.text, text, err)
			}
		}
		conn.Close()
		if got := mustQuery(t, db, "SELECT GROUP_CONCAT(what ORDER BY n) FROM app.log"); got != tc.want {
			t.Errorf("%s: the leader holds %q, want %q", tc.text, got, tc.want)
		}
		awaitEqual(t, c)
		execute(t, db, "DELETE FROM app.log")
	}
	checkNothingLeft(t, c)
}
