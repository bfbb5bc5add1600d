package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Procedures that end transactions, change the schema and execute texts do so where others call them, as on a plain server: with their own rights,
// parameters, conditions and results, however deep.
func TestNestedProcedures(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE DATABASE other", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE TABLE app.secret (id INT)",
			"CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION", "CREATE USER owner@'%'", "GRANT ALL ON app.* TO owner@'%'", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'", "CREATE USER x@'%'", "CREATE USER few@'%'")
	}
	got, want := sessionsOf(t, leader, alone, "dba", "owner", "u", "x")
	rows := func(where string) string { return "dba SELECT GROUP_CONCAT(v ORDER BY id) FROM app.t WHERE " + where }
	sayAllAlike(t, got, want,
		"dba USE app", "owner USE app", "u USE app",
		"dba CREATE PROCEDURE puts(x VARCHAR(80)) BEGIN INSERT INTO t (v) VALUES (x); COMMIT; END",
		"dba CREATE PROCEDURE undoes(x VARCHAR(80)) BEGIN START TRANSACTION; INSERT INTO t (v) VALUES (x); ROLLBACK; END",
		"dba CREATE PROCEDURE says(x TEXT) BEGIN EXECUTE IMMEDIATE x; END",
		"dba CREATE PROCEDURE grows(x INT) BEGIN INSERT INTO t (v) VALUES ('grows'); CREATE TABLE IF NOT EXISTS grown (a INT); INSERT INTO grown VALUES (x); END",
		"dba CREATE PROCEDURE fails(x INT) BEGIN INSERT INTO t (v) VALUES ('f1'); COMMIT; START TRANSACTION; INSERT INTO t (v) VALUES ('f2'); IF x THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='failed', MYSQL_ERRNO=5001; END IF; COMMIT; END",
		"dba CREATE PROCEDURE middle(x VARCHAR(80)) BEGIN INSERT INTO t (v) VALUES ('before'); CALL puts(x); INSERT INTO t (v) VALUES ('behind'); END",

		// Steps in what is called, behind each other, and behind calls that fail.
		"dba CREATE PROCEDURE several() BEGIN CALL puts('a'); CALL undoes('b'); CALL puts('c'); COMMIT; CALL says('INSERT INTO t (v) VALUES (''said'')'); CALL grows(1); CALL grows(2); SELECT COUNT(*) FROM grown; END", "dba CALL several()", rows("id>0"), "u CALL several()", rows("id>0"),
		"dba CREATE PROCEDURE handled(x INT) BEGIN DECLARE n INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 @e=MYSQL_ERRNO, @m=MESSAGE_TEXT; SET n=n+1; END; CALL fails(x); CALL fails(x+1); INSERT INTO t (v) VALUES (CONCAT('handled ', n)); COMMIT; SELECT n, @e, @m; END",
		"dba DELETE FROM t", "dba CALL handled(1)", rows("id>0"), "u CALL handled(-1)", rows("id>0"),
		"dba CREATE PROCEDURE again() BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL SET MESSAGE_TEXT='again'; END; START TRANSACTION; CALL puts('kept'); CALL fails(3); END", "dba DELETE FROM t", "dba CALL again()", "dba SHOW WARNINGS", "u CALL again()", "u SHOW WARNINGS", rows("id>0"),
		"dba CREATE PROCEDURE falls() BEGIN CALL puts('x'); CALL fails(4); CALL puts('never'); END", "dba CALL falls()", "dba SHOW WARNINGS", "dba ROLLBACK", rows("id>0"), "u CALL falls()", "u SHOW WARNINGS", "u ROLLBACK",
		// Others in between, which have no steps; in another database, and in a handler.
		"dba CREATE PROCEDURE outermost(x VARCHAR(80)) CALL middle(x)", "dba DELETE FROM t", "dba CALL outermost('deep')", "u CALL outermost('deeper')", rows("id>0"),
		"dba CREATE PROCEDURE other.puts() BEGIN INSERT INTO app.t (v) VALUES (DATABASE()); COMMIT; END", "dba CREATE PROCEDURE far() BEGIN CALL other.puts(); SELECT DATABASE(); CALL app.puts('near'); END", "dba CALL far()", "dba CREATE PROCEDURE other.back() BEGIN CALL puts(); CALL app.puts('back'); END", "dba CALL other.back()", rows("id>0"),
		"dba CREATE PROCEDURE logs() BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION CALL puts('logged'); INSERT INTO t (v) VALUES ('tried'); SIGNAL SQLSTATE '45000'; END", "dba DELETE FROM t", "dba CALL logs()", rows("id>0"),
		// Parameters, loops, cursors and conditions.
		"dba CREATE PROCEDURE adds(IN a INT, INOUT b INT, OUT c VARCHAR(20)) BEGIN COMMIT; SET b=a+b, c=CONCAT('c', b); END", "dba CREATE PROCEDURE fetches(OUT s VARCHAR(20)) BEGIN DECLARE x INT DEFAULT 4; DECLARE y VARCHAR(20); CALL adds(1+(SELECT 2), x, y); CALL adds(1, x, @y); SET s=CONCAT(x, y, @y); END",
		"dba CALL fetches(@s)", "dba SELECT @s", "dba CREATE PROCEDURE halfway(INOUT b INT) BEGIN SET b=7; COMMIT; SIGNAL SQLSTATE '45000'; END", "dba CREATE PROCEDURE keepsold() BEGIN DECLARE x INT DEFAULT 1; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CALL halfway(x); SELECT x; END", "dba CALL keepsold()",
		"dba CREATE PROCEDURE loops() BEGIN DECLARE i, d INT DEFAULT 0; DECLARE s VARCHAR(80); DECLARE k CURSOR FOR SELECT v FROM t ORDER BY id; DECLARE CONTINUE HANDLER FOR NOT FOUND SET d=1; OPEN k; l: LOOP FETCH k INTO s; IF d THEN LEAVE l; END IF; SET i=i+1; IF i=2 THEN ITERATE l; END IF; CALL puts(CONCAT('loop ', i, s)); END LOOP; SELECT i; END", "dba CALL loops()", rows("id>0"),
		"dba CREATE PROCEDURE misses() BEGIN DECLARE x INT; COMMIT; SELECT id INTO x FROM t WHERE id<0; END", "dba CREATE PROCEDURE missing() BEGIN DECLARE n INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND SET n=n+1; CALL misses(); CALL puts('missed'); SELECT n; END", "dba CALL missing()",
		"dba CREATE PROCEDURE missexit() BEGIN DECLARE EXIT HANDLER FOR NOT FOUND CALL puts('exit'); CALL misses(); CALL puts('not here'); END", "dba CALL missexit()", "dba CREATE PROCEDURE missunheeded() BEGIN CALL misses(); CALL puts('unheeded'); END", "dba CALL missunheeded()", rows("v LIKE '%exit%' OR v LIKE 'unh%'"),
		"dba CREATE PROCEDURE warns() BEGIN COMMIT; SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT='careful', MYSQL_ERRNO=5555; END", "dba CREATE PROCEDURE warned() BEGIN DECLARE EXIT HANDLER FOR SQLWARNING BEGIN GET DIAGNOSTICS CONDITION 1 @m=MESSAGE_TEXT; CALL puts(@m); END; CALL warns(); CALL puts('no'); END", "dba CALL warned()", rows("v LIKE 'care%' OR v='no'"), "dba CALL warns()",
		"dba CREATE PROCEDURE plain() INSERT INTO t (v) VALUES ('n1'), ('n2')", "dba CREATE PROCEDURE counts() BEGIN CALL plain(); SELECT ROW_COUNT(); CALL puts('n'); CALL says('UPDATE t SET v=''m'' WHERE v LIKE ''n%'''); SELECT ROW_COUNT(); END", "dba CALL counts()",
		"dba CREATE PROCEDURE wrong() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 @m=MESSAGE_TEXT; SELECT @m; END; CALL puts((SELECT id FROM nosuch)); CALL puts((SELECT 1 UNION SELECT 2)); CALL nosuch(); CALL puts('right'); END", "dba CALL wrong()", rows("v LIKE 'righ%'"),
		"dba CREATE PROCEDURE prepares() PREPARE kept FROM 'INSERT INTO t (v) VALUES (?)'", "dba CREATE PROCEDURE executes() BEGIN DECLARE x, n INT DEFAULT 0; DECLARE k CURSOR FOR SELECT 1 FROM mysql.proc; OPEN k; FETCH k INTO n; SELECT COUNT(*)>0 INTO x FROM mysql.proc; CALL prepares(); SET @v='kept'; EXECUTE kept USING @v; CLOSE k; COMMIT; SELECT x, n; END", "dba CALL executes()", "u CALL executes()", rows("v='kept'"),
		"dba CREATE PROCEDURE spread(\n a INT)\nBEGIN\n  COMMIT;\n  CALL puts(\n    'spread',\n    1);\n  SIGNAL SQLSTATE '45000';\nEND", "dba CREATE PROCEDURE spreads()\nBEGIN\n  CALL puts(\n    'spreads'\n  );\n\n  CALL spread(1);\nEND", "dba CREATE PROCEDURE line() BEGIN COMMIT;\n SIGNAL SQLSTATE '45000'; END", "dba CREATE PROCEDURE lines()\nBEGIN\n  CALL puts(\n    'spreads'\n  );\n\n  CALL line();\nEND", "dba CALL lines()", "dba SHOW WARNINGS", "u CALL lines()", "u SHOW WARNINGS", "dba CALL spreads()",
		// One that calls itself.
		"dba CREATE PROCEDURE again_(n INT) BEGIN DECLARE CONTINUE HANDLER FOR 1456 BEGIN GET DIAGNOSTICS CONDITION 1 @m=MESSAGE_TEXT; SELECT @m; END; INSERT INTO t (v) VALUES (CONCAT('r', n)); COMMIT; IF n>0 THEN CALL again_(n-1); END IF; INSERT INTO t (v) VALUES (CONCAT('s', n)); END", "dba DELETE FROM t", "dba CALL again_(2)", "u CALL again_(2)", rows("id>0"),
		"dba SET max_sp_recursion_depth=2", "u SET max_sp_recursion_depth=2", "dba CALL again_(2)", "dba CALL again_(4)", "u CALL again_(3)", rows("id>0"), "dba CREATE PROCEDURE ping(n INT) BEGIN COMMIT; CALL pong(n); END", "dba CREATE PROCEDURE pong(n INT) IF n>0 THEN CALL ping(n-1); END IF", "dba CALL ping(1)", "dba CALL ping(4)", "u CALL pong(4)", "dba SET max_sp_recursion_depth=0",
		// Transactions of the client's.
		"dba DELETE FROM t", "dba BEGIN", "dba INSERT INTO t (v) VALUES ('open')", "dba CALL middle('in')", "dba ROLLBACK", rows("id>0"), "dba CREATE PROCEDURE begins() BEGIN CALL says('START TRANSACTION'); CALL says('INSERT INTO t (v) VALUES (''begun'')'); END", "dba CALL begins()", "dba ROLLBACK", "dba CALL begins()", "dba COMMIT", rows("id>0"),
		"dba SET autocommit=0", "dba CALL middle('off')", "dba ROLLBACK", "dba SET autocommit=1", rows("id>0"), "u BEGIN", "u CALL middle('u')", "u ROLLBACK", rows("id>0"),
		// Rights: of the definer of each, and of who calls one that acts with those.
		"owner CREATE PROCEDURE owns(x TEXT) BEGIN EXECUTE IMMEDIATE x; INSERT INTO t (v) VALUES (CURRENT_USER()); COMMIT; END", "dba CREATE PROCEDURE trusts(x TEXT) BEGIN CALL owns(x); SELECT CURRENT_USER(); END", "u CALL trusts('SELECT CURRENT_USER()')", "u CALL trusts('SELECT COUNT(*) FROM mysql.proc')", "u CALL trusts('DROP TABLE IF EXISTS owned')", "dba CALL trusts('SELECT CURRENT_USER(), 2')",
		"dba CREATE PROCEDURE invoked(x TEXT) SQL SECURITY INVOKER BEGIN EXECUTE IMMEDIATE x; COMMIT; SELECT CURRENT_USER(); END", "owner CREATE PROCEDURE invokes(x TEXT) CALL invoked(x)", "u CALL invokes('SELECT 1')", "u CALL invokes('SELECT COUNT(*) FROM mysql.user')", "dba CALL invokes('SELECT COUNT(*) FROM mysql.user')", "u CALL invokes('CREATE TABLE owned2 (a INT)')", "u CALL invoked('SELECT COUNT(*) FROM t')",
		"dba CREATE PROCEDURE drops() BEGIN COMMIT; DROP TABLE secret; END", "dba CREATE PROCEDURE maydrop(x INT) BEGIN CALL puts('may'); IF x THEN CALL drops(); END IF; END", "u CALL maydrop(0)", "dba SELECT COUNT(*) FROM secret", "u CALL maydrop(1)", "dba SELECT COUNT(*) FROM secret",
		"dba CREATE PROCEDURE other.hidden() BEGIN COMMIT; END", "dba CREATE DEFINER=few@'%' PROCEDURE denied() BEGIN CALL other.hidden(); END", "u CALL denied()", "dba GRANT EXECUTE ON app.* TO few@'%'", "u CALL denied()", "dba GRANT EXECUTE ON PROCEDURE other.hidden TO few@'%'", "u CALL denied()", "x CALL app.maydrop(0)",
		// Names, modes, settings and procedures of the server's own.
		"dba CREATE PROCEDURE `größe`(`ö` VARCHAR(10)) BEGIN COMMIT; SELECT `ö`; END", "dba CREATE PROCEDURE umlauts() BEGIN CALL `größe`('ü'); CALL app.`Größe`('ü'); END", "dba CALL umlauts()", "dba SET NAMES latin1", "dba CALL umlauts()", "dba SET NAMES utf8mb4",
		"dba CREATE DATABASE `dä``b.c('`", "dba CREATE PROCEDURE `dä``b.c('`.p(x INT) BEGIN COMMIT; SELECT DATABASE(), x; END", "dba CREATE PROCEDURE odd() CALL `dä``b.c('`.p(3)", "dba CALL odd()",
		"dba SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'", `dba CREATE PROCEDURE modes(x TEXT) BEGIN COMMIT; SELECT "x", 'a\' || 'b'; END`, "dba SET sql_mode=DEFAULT", "dba CREATE PROCEDURE modal() BEGIN CALL modes('q'); SELECT 'a' || 1, @@sql_mode; END", "dba CALL modal()",
		"dba SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "dba CALL odd()", "dba SET sql_select_limit=1, sql_safe_updates=1, max_statement_time=30", "dba CALL odd()", "dba CREATE PROCEDURE bare() BEGIN COMMIT; SELECT 'n'; END", "dba CREATE PROCEDURE barer() BEGIN CALL bare; CALL bare(); END", "dba CALL barer",
		"dba SET sql_select_limit=DEFAULT, sql_safe_updates=0, max_statement_time=0", "dba CALL sys.create_synonym_db('app', 'synonyms')", "dba SELECT COUNT(*)>0 FROM information_schema.views WHERE table_schema='synonyms'", "dba CREATE PROCEDURE syscalls() BEGIN CALL sys.table_exists('app', 't', @e); CALL sys.execute_prepared_stmt('SELECT 5'); COMMIT; SELECT @e; END", "dba CALL syscalls()",
		"dba SELECT @@sql_mode, DATABASE(), @@character_set_client, @@collation_connection, @@in_transaction", "u SELECT DATABASE(), @@in_transaction",
	)
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

// checkNothingLeft compares nothing, but looks for what nodes have made for a call, and for what was committed beside the log.
func checkNothingLeft(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, n := range c.Nodes {
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s transactions beside the log on %s", got, n.Name)
		}
		server, err := n.MariaDB.Client()
		check(t, err)
		for _, q := range []string{"SELECT GROUP_CONCAT(routine_name) FROM information_schema.routines WHERE routine_name LIKE 'nexus%'", "SELECT GROUP_CONCAT(routine_name) FROM mysql.procs_priv WHERE routine_name LIKE 'nexus%'", "SELECT GROUP_CONCAT(step) FROM nexus.program_answer"} {
			if got := mustQuery(t, server, q); got != "" {
				t.Errorf("left on %s: %s", n.Name, got)
			}
		}
		check(t, server.Close())
	}
}

// A prepared CALL reaches what the procedure calls too, and an event does.
func TestNestedProceduresOfOthers(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80), d DOUBLE)", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'",
			"CREATE PROCEDURE app.puts(v VARCHAR(80), d DOUBLE) BEGIN INSERT INTO t (v, d) VALUES (v, d); COMMIT; SELECT id, t.v, t.d FROM t ORDER BY id DESC LIMIT 1; END",
			"CREATE PROCEDURE app.outermost(v VARCHAR(80), d DOUBLE) BEGIN CALL puts(v, d); CALL puts(CONCAT(v, '+'), d/2); EXECUTE IMMEDIATE 'SELECT COUNT(*) FROM t'; END")
	}
	there, err := sql.Open("mysql", fmt.Sprintf("u@tcp(127.0.0.1:%s)/app", mustQuery(t, alone, "SELECT @@port")))
	check(t, err)
	t.Cleanup(func() { there.Close() })
	for _, pair := range []struct{ got, want *sql.Conn }{{account(t, leader, "u", "app"), oneConn(t, there)}, {oneConn(t, db), oneConn(t, alone)}} {
		const text = "CALL app.outermost(?, ?)"
		for _, args := range [][]any{{"a", 1.5}, {"b", nil}} {
			if want, got := showAll(t.Context(), pair.want, text, args), showAll(t.Context(), pair.got, text, args); want != got {
				t.Errorf("%s %v\nwant %s\n got %s", text, args, want, got)
			}
		}
	}
	execute(t, db, "CREATE EVENT app.e ON SCHEDULE AT NOW() DO CALL outermost('event', 1)")
	awaitAnswer(t, db, "SELECT COUNT(*) FROM app.t WHERE v LIKE 'event%'", "2")
	awaitAnswer(t, db, "SELECT COUNT(*) FROM information_schema.events", "0")
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

// What a program is about to call was looked at; what it has become since is not executed.
func TestProgramsCallWhatWasSeen(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'", "GRANT ALL ON *.* TO u@'%' WITH GRANT OPTION")
	for _, tc := range []struct{ before, becomes, called, want string }{
		{"SELECT 1", "EXECUTE IMMEDIATE ''SET GLOBAL wait_timeout=4321''", "", "1235"},
		{"SELECT 1", "EXECUTE IMMEDIATE ''SET GLOBAL wait_timeout=4321''", "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;", "1235"},
		{"COMMIT", "EXECUTE IMMEDIATE ''SET GLOBAL wait_timeout=4321''", "", "1235"},
		{"COMMIT", "BEGIN COMMIT; INSERT INTO t (v) VALUES (''other''); END", "", "1235"},
		{"COMMIT", "COMMIT", "", "0"},
	} {
		u := openAs(t, leader, "u", "", "app", nil)
		execute(t, u, "CREATE OR REPLACE PROCEDURE c() "+tc.before, "CREATE OR REPLACE PROCEDURE p() BEGIN "+tc.called+" COMMIT; EXECUTE IMMEDIATE 'CREATE OR REPLACE PROCEDURE c() "+tc.becomes+"'; CALL c(); INSERT INTO t (v) VALUES ('behind'); COMMIT; END")
		conn := oneConn(t, u)
		_, err := conn.ExecContext(within(t, 40*time.Second), "CALL p()")
		if got := fmt.Sprint(code(err)); got != tc.want {
			t.Errorf("%s, then %s: %v, want %s", tc.before, tc.becomes, err, tc.want)
		}
		conn.Close()
	}
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(v) FROM app.t"); got != "behind" {
		t.Errorf("rows %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

// Whoever can read how a program tells its node that a procedure has begun cannot tell so in its place, when the call of it has failed.
func TestNobodyBeginsInAnothersPlace(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE TABLE app.secret (id INT)", "CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'", "REVOKE DROP ON app.* FROM u@'%'",
		"CREATE DEFINER=dba@'%' PROCEDURE app.guarded(x INT) BEGIN COMMIT; IF x=42 THEN DROP TABLE secret; END IF; END")
	const tagged = "SET x=(SELECT info FROM information_schema.processlist WHERE id=CONNECTION_ID()); SET tag=REGEXP_SUBSTR(x, 'nexus_[0-9a-f]{12}_');" +
		" EXECUTE IMMEDIATE CONCAT('CREATE OR REPLACE TEMPORARY TABLE forged (', tag, 'begin INT, h CHAR(64))'); INSERT INTO forged VALUES (1, SHA2('k', 256));"
	for _, tc := range []struct{ name, body string }{
		{"p1", "DECLARE x LONGTEXT; DECLARE tag VARCHAR(40); DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SELECT * FROM forged; " + tagged + " CALL guarded((SELECT 1 UNION SELECT 2)); INSERT INTO t (v) VALUES ('behind'); COMMIT;"},
		{"p2", "DECLARE x LONGTEXT; DECLARE tag VARCHAR(40); " + tagged + " SELECT * FROM forged; CALL guarded(1); INSERT INTO t (v) VALUES ('behind'); COMMIT;"},
		// The list of processes shows a call of the same procedure then, but not this one.
		{"p3", "DECLARE x LONGTEXT; DECLARE tag VARCHAR(40); DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN SELECT * FROM forged; SET tag=SLEEP(15); END; IF @n IS NULL THEN " + tagged + " SET @n=1; CALL p3(); ELSE CALL p3((SELECT 1 UNION SELECT 2)); END IF; INSERT INTO t (v) VALUES ('behind'); COMMIT;"},
	} {
		parameter := ""
		if tc.name == "p3" {
			parameter, tc.body = "a INT", strings.ReplaceAll(tc.body, "CALL p3()", "CALL p3(1)")
		}
		u := openAs(t, leader, "u", "", "app", nil)
		execute(t, u, "CREATE PROCEDURE "+tc.name+"("+parameter+") BEGIN "+tc.body+" END")
		conn := oneConn(t, u)
		ctx := within(t, 60*time.Second)
		_, err := conn.ExecContext(ctx, "SET max_sp_recursion_depth=5")
		check(t, err)
		call := "CALL " + tc.name + "()"
		if parameter != "" {
			call = "CALL " + tc.name + "(1)"
		}
		if _, err := conn.ExecContext(ctx, call); err == nil || code(err) != 0 {
			t.Errorf("%s: %v, want a connection that is lost", tc.name, err)
		}
		conn.Close()
	}
	execute(t, db, "CREATE TABLE app.behind (a INT)") // with which the node ends what it has given up
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(v), (SELECT COUNT(*) FROM app.secret) FROM app.t"); got != ",0" {
		t.Errorf("committed is %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

// Many sessions call procedures that call each other, and some leave in the middle: each row is there once or not at all, and nothing is left.
func TestNestedProceduresAtOnce(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (session INT, n INT, part INT, PRIMARY KEY (session, n, part))", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'",
		"CREATE PROCEDURE app.part(s INT, n INT, p INT) BEGIN INSERT INTO t VALUES (s, n, p); IF p=3 THEN SIGNAL SQLSTATE '45000'; END IF; COMMIT; END",
		"CREATE PROCEDURE app.parts(s INT, n INT) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION ROLLBACK; CALL part(s, n, 1); CALL part(s, n, 3); CALL part(s, n, 2); END",
		"CREATE PROCEDURE app.whole(s INT, n INT) BEGIN CALL parts(s, n); INSERT INTO t VALUES (s, n, 4); END")
	const programs, calls = 4, 4
	done := make(chan error, programs)
	for i := range programs {
		conn := account(t, leader, "u", "app")
		go func() {
			var err error
			for n := range calls {
				if _, failed := conn.ExecContext(within(t, 120*time.Second), fmt.Sprintf("CALL whole(%d, %d)", i, n)); failed != nil {
					err = failed
				}
			}
			done <- err
		}()
	}
	leaver := account(t, leader, "u", "app")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for n := 0; ctx.Err() == nil; n++ {
		_, _ = leaver.ExecContext(ctx, fmt.Sprintf("CALL whole(9, %d)", n))
	}
	for range programs {
		check(t, <-done)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*), SUM(part) FROM app.t WHERE session<9"); got != fmt.Sprintf("%d,%d", 3*programs*calls, 7*programs*calls) {
		t.Errorf("rows and their sum are %s", got)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.t WHERE part=3"); got != "0" {
		t.Errorf("%s rows of what was rolled back", got)
	}
	awaitEqual(t, c)
	eventually(t, 40*time.Second, func() error {
		server, err := leader.MariaDB.Client()
		check(t, err)
		defer server.Close()
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM information_schema.routines WHERE routine_name LIKE 'nexus%'"); got != "0" {
			return fmt.Errorf("%s procedures are left", got)
		}
		return nil
	})
	checkNothingLeft(t, c)
}

// The number of the transaction may be overwritten by whatever a program executes: then nothing is committed, and nothing is left prepared.
func TestWrongNumberOfTransaction(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'",
		"CREATE PROCEDURE app.counts(n VARCHAR(20)) BEGIN COMMIT; SET @nexus_sequence=n; END", "CREATE PROCEDURE app.wrong(n VARCHAR(20)) BEGIN CALL counts(n); INSERT INTO t (v) VALUES (n); COMMIT; INSERT INTO t (v) VALUES ('behind'); END",
		"CREATE PROCEDURE app.handled(n VARCHAR(20)) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CALL counts(n); INSERT INTO t (v) VALUES (n); COMMIT; INSERT INTO t (v) VALUES ('behind'); COMMIT; END",
		"CREATE PROCEDURE app.undone(n VARCHAR(20)) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CALL counts(n); INSERT INTO t (v) VALUES (n); ROLLBACK; INSERT INTO t (v) VALUES ('behind'); COMMIT; END")
	for _, procedure := range []string{"wrong", "handled", "undone"} {
		for _, n := range []string{"1", "999999", "NULL", "'x'"} {
			conn := account(t, leader, "u", "app")
			if _, err := conn.ExecContext(within(t, 40*time.Second), "CALL "+procedure+"("+n+")"); err == nil {
				t.Errorf("%s(%s) was answered", procedure, n)
			}
			conn.Close()
		}
	}
	execute(t, db, "CREATE TABLE app.behind (a INT)") // with which the node ends what it has given up
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(v) FROM app.t"); got != "" {
		t.Errorf("committed is %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

// A call that is killed, or of which the client leaves, while a procedure that it has called is executed leaves nothing behind.
func TestNestedCallThatIsKilled(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'",
		"CREATE PROCEDURE app.waits(n INT) BEGIN INSERT INTO t VALUES (n); COMMIT; INSERT INTO t VALUES (n+1); UPDATE held SET a=a+1; COMMIT; END", "CREATE TABLE app.held (a INT)", "INSERT INTO app.held VALUES (0)",
		"CREATE PROCEDURE app.outermost(n INT) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CALL waits(n); INSERT INTO t VALUES (n+2); COMMIT; END")
	holder := oneConn(t, db)
	for _, text := range []string{"SET innodb_lock_wait_timeout=300", "BEGIN", "UPDATE app.held SET a=1"} {
		_, err := holder.ExecContext(within(t, 40*time.Second), text)
		check(t, err)
	}
	for i, kill := range []string{"KILL QUERY ", "KILL ", ""} {
		caller := account(t, leader, "u", "app")
		id := mustQuery(t, caller, "SELECT CONNECTION_ID()")
		ctx, leave := context.WithCancel(within(t, 120*time.Second))
		called := make(chan error, 1)
		go func() { _, err := caller.ExecContext(ctx, fmt.Sprintf("CALL outermost(%d)", 10*i)); called <- err }()
		eventually(t, 40*time.Second, func() error {
			if got := mustQuery(t, db, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%s AND info LIKE 'UPDATE held%%'", id)); got != "1" {
				return fmt.Errorf("it does not wait")
			}
			return nil
		})
		if kill == "" {
			leave()
		} else {
			execute(t, db, kill+id)
		}
		if err := <-called; (err == nil) != (kill == "KILL QUERY ") { // which a handler may take, as on a plain server
			t.Errorf("%s: %v", kill, err)
		}
		leave()
		caller.Close()
		eventually(t, 40*time.Second, func() error {
			if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.processlist WHERE id="+id+" AND info IS NOT NULL"); got != "0" {
				return fmt.Errorf("it is still being executed")
			}
			return nil
		})
	}
	_, err := holder.ExecContext(within(t, 40*time.Second), "ROLLBACK")
	check(t, err)
	execute(t, db, "CREATE TABLE app.behind (a INT)")
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t WHERE id<20"); got != "0,1,2,10" {
		t.Errorf("committed is %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	eventually(t, 40*time.Second, func() error {
		server, err := leader.MariaDB.Client()
		check(t, err)
		defer server.Close()
		if got := mustQuery(t, server, "SELECT GROUP_CONCAT(routine_name) FROM information_schema.routines WHERE routine_name LIKE 'nexus%'"); got != "" {
			return fmt.Errorf("left is %s", got)
		}
		return nil
	})
	checkNothingLeft(t, c)
}

// A procedure that was looked at before the schema has changed is looked at again, and the client hears nothing of it.
func TestCallsBesideSchemaChanges(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db, other := open(t, leader), open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.n (i INT)", "CREATE PROCEDURE app.p() BEGIN INSERT INTO app.n VALUES (1); COMMIT; INSERT INTO app.n VALUES (2); END")
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := other.Exec("CREATE OR REPLACE TABLE app.beside (i INT)"); err != nil {
				ended <- err
				return
			}
			time.Sleep(100 * time.Millisecond) // one after the other leaves no time to look
		}
		ended <- nil
	}()
	for i := range 100 {
		if _, err := db.Exec("CALL app.p()"); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	stop()
	check(t, <-ended)
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.n"); got != "200" {
		t.Errorf("%s rows", got)
	}
}
