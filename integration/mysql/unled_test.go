package mysql

import (
	"strings"
	"testing"
)

// swallows begins a program that passes over every error, and ends its transaction by what it knows of them then.
const swallows = "DECLARE failed INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SET failed=1; "

// A program that begins or ends transactions, and cannot be led through that, is refused before it changes anything: inside of XA such a statement fails, a handler passes over
// that, and what the program has rolled back would be committed.
func TestUnledProgramsAreRefused(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	db.SetMaxIdleConns(0) // each way has a session of its own
	const body = "INSERT INTO t VALUES (2); INSERT INTO t VALUES (1); IF failed THEN ROLLBACK; ELSE COMMIT; END IF; "
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (a INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)",
		"CREATE PROCEDURE app.plain() BEGIN "+swallows+"START TRANSACTION; "+body+"END",
		"CREATE PROCEDURE app.rolls() BEGIN "+swallows+body+"END",
		"CREATE PROCEDURE app.chains() BEGIN "+swallows+"INSERT INTO t VALUES (2); ROLLBACK AND CHAIN; END",
		"CREATE PROCEDURE app.reads() BEGIN "+swallows+"START TRANSACTION READ ONLY; COMMIT; "+body+"END",
		"CREATE PROCEDURE app.sets() BEGIN "+swallows+"SET autocommit=0; "+body+"SET autocommit=1; END",
		"CREATE PROCEDURE app.setsonly() BEGIN SET autocommit=0; INSERT INTO t VALUES (2); END",
		"CREATE PROCEDURE app.changes() BEGIN "+swallows+"INSERT INTO t VALUES (2); ROLLBACK AND NO CHAIN RELEASE; CREATE TABLE u (a INT); END",
		"CREATE PROCEDURE app.opens() BEGIN START TRANSACTION READ WRITE; INSERT INTO t VALUES (2); COMMIT; END",
		"CREATE PROCEDURE app.calls() BEGIN "+swallows+"COMMIT; CALL app.reads(); END", "CREATE PROCEDURE app.callstext() BEGIN "+swallows+"EXECUTE IMMEDIATE 'CALL app.rolls()'; COMMIT; END",
		"CREATE PROCEDURE app.named() BEGIN INSERT INTO t VALUES (3); CALL app.another(); DELETE FROM t WHERE a=3; END", "CREATE PROCEDURE app.another() SELECT 1 AS plain, 2 AS rolls",
	)
	block := "BEGIN NOT ATOMIC " + swallows + body + "END"
	for _, way := range [][]string{
		{"CALL app.chains()"}, {"CALL app.reads()"}, {"CALL app.sets()"}, {"CALL app.setsonly()"}, {"CALL app.changes()"}, {"CALL app.calls()"},
		{"SET STATEMENT max_statement_time=10 FOR CALL app.plain()"}, {"PREPARE s FROM 'CALL app.plain()'", "SET STATEMENT max_statement_time=10 FOR EXECUTE s"},
		{"USE app", "PREPARE s FROM '" + block + "'", "EXECUTE s"}, {"USE app", "EXECUTE IMMEDIATE '" + block + "'"}, {"USE app", "SET STATEMENT max_statement_time=10 FOR " + block},
		{"USE app", strings.Replace(block, "ROLLBACK", "ROLLBACK AND CHAIN", 1)}, {strings.ReplaceAll(block, "INTO t", "INTO app.t")},
		{"SET sql_mode=ORACLE", "CALL app.plain()", "SET sql_mode=ORACLE"}, {"SET sql_mode=ORACLE", "BEGIN app.rolls(); END"},
		{"SET sql_mode=ORACLE", "CREATE OR REPLACE PROCEDURE app.ora AS BEGIN INSERT INTO t VALUES (2); BEGIN ROLLBACK; EXCEPTION WHEN OTHERS THEN NULL; END; END", "CALL app.ora()"},
		{"START TRANSACTION READ ONLY", "CALL app.rolls()"}, {"SET SESSION TRANSACTION READ ONLY", "CALL app.plain()"},
		{"START TRANSACTION READ ONLY", "CALL app.opens()"}, {"SET SESSION TRANSACTION READ ONLY", "CALL app.opens()"}, {"USE app", "COMMIT", "SET SESSION TRANSACTION READ ONLY", "BEGIN NOT ATOMIC START TRANSACTION READ WRITE; INSERT INTO t VALUES (2); COMMIT; END"},
	} {
		for _, begin := range []string{"", "BEGIN"} {
			conn := oneConn(t, db)
			if begin != "" {
				show(t.Context(), conn, begin)
			}
			last := len(way) - 1
			for _, text := range way[:last] {
				show(t.Context(), conn, text)
			}
			got := show(t.Context(), conn, way[last])
			led := way[0] == "SET sql_mode=ORACLE" && way[last] == way[0] // the client's mode is not the procedure's
			if refused := strings.HasPrefix(got, "1235 42000 Nexus: "); refused == led {
				t.Errorf("%q %q: %s", begin, way, got)
			}
			if n := mustQuery(t, conn, "SELECT COUNT(*) FROM app.t") + mustQuery(t, conn, "SELECT @@autocommit"); n != "11" {
				t.Errorf("%q %q: %s", begin, way, n)
			}
			check(t, conn.Close())
		}
	}
	// A text is refused to the program that executes it, which goes on.
	if got := show(t.Context(), oneConn(t, db), "CALL app.callstext()"); got != "[]" {
		t.Errorf("callstext: %s", got)
	}
	// Not so one that only mentions names of such procedures.
	if got := mustQuery(t, db, "CALL app.named()"); got != "1,2" {
		t.Errorf("named: %s", got)
	}
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(a) FROM app.t"); got != "1" {
		t.Errorf("rows %s", got)
	}
	awaitEqual(t, c)
}
