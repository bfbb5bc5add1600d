package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// textProcedures execute texts that they make up.
var textProcedures = []string{
	"CREATE PROCEDURE raw(x TEXT) EXECUTE IMMEDIATE x",
	"CREATE PROCEDURE kept(x TEXT) BEGIN SET @x=x; PREPARE s FROM @x; EXECUTE s; DEALLOCATE PREPARE s; END",
	"CREATE PROCEDURE swallow(x TEXT) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO t (v) VALUES ('before'); EXECUTE IMMEDIATE x; INSERT INTO t (v) VALUES ('behind'); END",
	"CREATE PROCEDURE outermost(x TEXT) CALL raw(x)",
	"CREATE PROCEDURE invoked(x TEXT) SQL SECURITY INVOKER EXECUTE IMMEDIATE x",
	"CREATE PROCEDURE named() EXECUTE mine",
	"CREATE FUNCTION calls(x TEXT) RETURNS INT BEGIN CALL raw(x); RETURN 1; END",
	"CREATE FUNCTION writes(x INT) RETURNS INT BEGIN INSERT INTO t (v) VALUES ('function'); RETURN x; END",
	"CREATE TRIGGER calling BEFORE INSERT ON fires FOR EACH ROW CALL raw(NEW.x)",
}

// reachingPast are texts that would end the transaction they are executed in beside the log, or change the leader's server alone. NAME is
// that of the transaction.
var reachingPast = []string{
	"XA END NAME", "XA PREPARE NAME", "XA COMMIT NAME", "XA COMMIT NAME ONE PHASE", "XA ROLLBACK NAME", "XA RECOVER", "X/**/A END NAME", "/*!XA END NAME*/",
	"SET GLOBAL wait_timeout=4321", "SET @@global.wait_timeout=4321", "SET @a=1, GLOBAL wait_timeout=4321", "SET SESSION sort_buffer_size=100000, @@global.wait_timeout=4321",
	"/*!SET GLOBAL wait_timeout=4321*/", "/*M!100100 SET GLOBAL wait_timeout=4321*/", "SET STATEMENT max_statement_time=9 FOR SET GLOBAL wait_timeout=4321",
	"BEGIN NOT ATOMIC SET GLOBAL wait_timeout=4321; END", "BEGIN NOT ATOMIC EXECUTE IMMEDIATE CONCAT('SET GLO', 'BAL wait_timeout=4321'); END", "IF 1 THEN SET GLOBAL wait_timeout=4321; END IF",
	"CALL raw('SET GLOBAL wait_timeout=4321')", "CALL `RAW`('SET GLOBAL wait_timeout=4321')", "CALL räw('SET GLOBAL wait_timeout=4321')", "CALL outermost('SET GLOBAL wait_timeout=4321')",
	"BEGIN NOT ATOMIC CALL app.raw('SET GLOBAL wait_timeout=4321'); END",
	"SET sql_log_bin=0", "SET SESSION binlog_format=STATEMENT", "SET autocommit=0", "SET autocommit=1", "SET SESSION tx_read_only=0", "SET SESSION TRANSACTION READ WRITE", "SET NAMES gbk",
	"SET character_set_client=gbk", "SET ROLE NONE", "SET PASSWORD=''", "SET DEFAULT ROLE NONE",
	"COMMIT", "ROLLBACK", "BEGIN", "START TRANSACTION", "ALTER TABLE t ADD z INT", "CREATE TABLE z (a INT)", "DROP TABLE nosuch", "CREATE OR REPLACE TABLE z SELECT 1 AS a", "TRUNCATE t", "CREATE USER z",
	"GRANT SELECT ON app.* TO z", "CREATE PROCEDURE z() SELECT 1", "ANALYZE TABLE t", "OPTIMIZE TABLE t", "CREATE VIEW z AS SELECT 1",
	"INSERT INTO mysql.time_zone VALUES (NULL, 'N')", "DELETE FROM mysql.servers", "UPDATE (mysql.proc) SET comment='z'", "WITH x AS (SELECT 1) DELETE FROM (mysql.servers) WHERE 1",
	"INSERT INTO nexus.applied VALUES (1, 1)", "UPDATE nexus.position SET idx=idx+1",
	"FLUSH TABLES", "FLUSH LOGS", "FLUSH STATUS", "RESET MASTER", "PURGE BINARY LOGS TO 'x'", "LOCK TABLES t WRITE", "UNLOCK TABLES", "KILL 1", "BINLOG 'x'", "HANDLER t OPEN", "INSTALL SONAME 'x'", "SHUTDOWN",
	"SELECT 1 INTO OUTFILE '/tmp/nexus-texts'", "PREPARE s FROM 'COMMIT'", "EXECUTE s", "USE mysql", "SELECT 1; SET GLOBAL wait_timeout=4321", "SELECT 'it''s", "",
}

// waysToExecute are statements by which a text, TEXT, gets to be executed in one of textProcedures.
var waysToExecute = [][]string{
	{"CALL raw(TEXT)"}, {"CALL kept(TEXT)"}, {"CALL swallow(TEXT)"}, {"CALL outermost(TEXT)"}, {"CALL invoked(TEXT)"}, {"CALL app.raw(TEXT)"},
	{"BEGIN NOT ATOMIC CALL raw(TEXT); END"}, {"BEGIN NOT ATOMIC IF 1 THEN CALL app.outermost(TEXT); END IF; END"}, {"SET STATEMENT max_statement_time=50 FOR CALL raw(TEXT)"},
	{"SET @x=TEXT", "PREPARE c FROM 'CALL raw(@x)'", "EXECUTE c"}, {"SET @x=TEXT", "PREPARE c FROM 'CALL raw(?)'", "EXECUTE c USING @x"}, {"SET @x=TEXT", "EXECUTE IMMEDIATE 'CALL raw(@x)'"},
	{"PREPARE mine FROM TEXT", "CALL named()"}, {"SELECT calls(TEXT)"}, {"INSERT INTO fires VALUES (TEXT)"},
	{"SET SESSION TRANSACTION READ ONLY", "CALL raw(TEXT)", "SET SESSION TRANSACTION READ WRITE"},
	{"CALL sys.execute_prepared_stmt(TEXT)"},
}

// waysOfOthers are those of which it matters whether the program is the caller's own.
var waysOfOthers = [][]string{
	{"CALL raw(TEXT)"}, {"CALL invoked(TEXT)"}, {"CALL swallow(TEXT)"}, {"PREPARE mine FROM TEXT", "CALL named()"}, {"SELECT calls(TEXT)"}, {"INSERT INTO fires VALUES (TEXT)"},
}

// Whatever text a program executes, and by whichever way it comes to that, in an account with rights on its own database alone or with
// all there are: nothing is committed beside the log, no server is changed alone, and no node goes out of service.
func TestTextsReachNothing(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE app.fires (x TEXT)",
		"CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'", "GRANT EXECUTE ON sys.* TO u@'%'", "CREATE USER v@'%'", "GRANT EXECUTE, SELECT, INSERT ON app.* TO v@'%'",
		"CREATE USER mighty@'%'", "GRANT ALL ON *.* TO mighty@'%' WITH GRANT OPTION")
	for _, attack := range []struct {
		definer, caller string
		ways            [][]string
	}{{"u", "u", waysToExecute}, {"u", "v", waysOfOthers}, {"mighty", "mighty", waysToExecute}, {"mighty", "u", waysOfOthers}} {
		definer := openAs(t, leader, attack.definer, "", "app", nil)
		execute(t, definer, textProcedures...)
		caller := openAs(t, leader, attack.caller, "", "app", nil)
		for _, way := range attack.ways {
			tryTexts(t, caller, server, way)
		}
		tryPrepared(t, caller)
		for _, made := range textProcedures {
			execute(t, db, "DROP "+strings.Fields(made)[1]+" app."+strings.FieldsFunc(strings.Fields(made)[2], func(r rune) bool { return r == '(' })[0])
		}
		awaitEqual(t, c)
		for _, n := range c.Nodes {
			if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
				t.Fatalf("programs of %s called by %s: %s transactions beside the log on %s", attack.definer, attack.caller, got, n.Name)
			}
			check(t, readyz(n))
		}
		checkAlike(t, c)
	}
	if now, err := c.Leader(within(t, 40*time.Second)); err != nil || now != leader {
		t.Errorf("%v leads, %v", now, err)
	}
}

// checkAlike makes sure that the servers have the same variables and accounts, and that nothing was left prepared.
func checkAlike(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	awaitSame(t, c, "SELECT @@global.wait_timeout, @@global.sql_mode, (SELECT COUNT(*) FROM mysql.time_zone), (SELECT COUNT(*) FROM mysql.servers), (SELECT COUNT(*) FROM mysql.global_priv),"+
		" (SELECT GROUP_CONCAT(comment) FROM mysql.proc WHERE db='app'), (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='app')")
	for _, n := range c.Nodes {
		server, err := n.MariaDB.Client()
		check(t, err)
		if got := mustQuery(t, server, "SELECT @@global.wait_timeout"); got == "4321" {
			t.Errorf("%s has a wait_timeout that a text has set", n.Name)
		}
		awaitAnswer(t, server, "XA RECOVER", "") // a client that was broken off may have left a transaction that is about to end
		check(t, server.Close())
	}
}

// tryTexts tries all texts in one way, first in a transaction of which the name is known.
func tryTexts(t *testing.T, caller, server *sql.DB, way []string) {
	t.Helper()
	conn := oneConn(t, caller)
	name := ownTransaction(t, conn, server)
	for _, text := range reachingPast {
		quoted := "'" + strings.ReplaceAll(strings.ReplaceAll(text, "NAME", name), "'", "''") + "'"
		for _, statement := range way {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			got, err := query(ctx, conn, strings.ReplaceAll(statement, "TEXT", quoted))
			late := ctx.Err()
			cancel()
			if late != nil {
				t.Errorf("%s: %s: %v", statement, text, late)
			}
			if testing.Verbose() {
				t.Logf("%s: %.40s: %.60q, %.90v", statement, text, got, err)
			}
			if code(err) == 0 && err != nil { // the connection is gone
				check(t, conn.Close())
				conn = oneConn(t, caller)
				name = ownTransaction(t, conn, server)
			}
		}
	}
	// What a session leaves open would let a read write beside the log.
	ctx := within(t, 40*time.Second)
	for _, statement := range []string{"ROLLBACK", "SELECT writes(1)", "ROLLBACK"} {
		got, err := query(ctx, conn, statement)
		t.Logf("%v: %s: %q, %v", way, statement, got, err)
	}
	check(t, conn.Close())
}

// tryPrepared tries them with the command that executes what was prepared.
func tryPrepared(t *testing.T, caller *sql.DB) {
	t.Helper()
	conn := oneConn(t, caller)
	defer conn.Close()
	ctx := within(t, 60*time.Second)
	for _, procedure := range []string{"raw", "outermost", "invoked"} {
		statement, err := conn.PrepareContext(ctx, "CALL "+procedure+"(?)")
		if err != nil {
			t.Logf("prepare %s: %v", procedure, err)
			continue
		}
		for _, text := range reachingPast {
			_, err := statement.ExecContext(ctx, text)
			if testing.Verbose() {
				t.Logf("prepared %s: %.40s: %.90v", procedure, text, err)
			}
			if err != nil && code(err) == 0 {
				t.Fatalf("prepared %s: %s: the connection is gone: %v", procedure, text, err)
			}
			if err == nil && strings.Contains(text, "4321") {
				t.Errorf("%s of a prepared statement: %s was executed", procedure, text)
			}
		}
		_, err = conn.ExecContext(ctx, "ROLLBACK")
		check(t, err)
		check(t, statement.Close())
	}
}

// What may be executed as a text is executed, and leaves behind what it does on one server alone.
func TestTextsOfProcedures(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	got, want := oneConn(t, open(t, leader)), oneConn(t, startAlone(t))
	for _, text := range []string{
		"CREATE DATABASE app", "USE app", "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE log (what VARCHAR(80))",
		"CREATE PROCEDURE fill(name VARCHAR(64), n INT) BEGIN DECLARE i INT DEFAULT 0; SET @q=CONCAT('INSERT INTO `', name, '` VALUES (?, ?)'); PREPARE put FROM @q;" +
			" WHILE i<n DO SET @i=i, @v=CONCAT('v', i); EXECUTE put USING @i, @v; SET i=i+1; END WHILE; DEALLOCATE PREPARE put; END",
		"CALL fill('t', 5)", "SELECT * FROM t", "CALL fill('none', 1)", "EXECUTE put USING @i, @v",
		"CREATE PROCEDURE show_it(w TEXT) BEGIN EXECUTE IMMEDIATE CONCAT('SELECT id, v FROM t WHERE ', w, ' ORDER BY id') ; EXECUTE IMMEDIATE 'SELECT COUNT(*) FROM t WHERE id>?' USING 2; END",
		"CALL show_it('id<3')", "CALL show_it('nonsense(')", "CALL show_it(NULL)",
		"CREATE PROCEDURE handled(x TEXT, OUT said TEXT) BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 said=MESSAGE_TEXT; ROLLBACK; END;" +
			" START TRANSACTION; INSERT INTO log VALUES ('begun'); EXECUTE IMMEDIATE x; COMMIT; SET said='done'; END",
		"CALL handled('INSERT INTO t VALUES (10, \"ten\")', @said)", "SELECT @said", "CALL handled('INSERT INTO t VALUES (10, \"again\")', @said)", "SELECT @said", "SELECT * FROM log",
		"BEGIN", "INSERT INTO t VALUES (20, 'open')", "CREATE TEMPORARY TABLE tmp (a INT)",
		"CREATE PROCEDURE nothing() BEGIN DECLARE x INT; EXECUTE IMMEDIATE 'SET @z=5'; EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE tmp2 SELECT 7 AS a'; EXECUTE IMMEDIATE 'UPDATE tmp2 SET a=a+@z'; END",
		"CALL nothing()", "SELECT a FROM tmp2", "BEGIN", "INSERT INTO t VALUES (30, 'gone')", "CALL fill('t', 0)", "ROLLBACK", "SELECT COUNT(*) FROM t",
		"CREATE PROCEDURE plain() INSERT INTO log VALUES ('plain')", "CREATE PROCEDURE both() BEGIN CALL plain(); EXECUTE IMMEDIATE 'CALL plain()'; COMMIT; CALL plain(); END", "CALL both()", "SELECT COUNT(*) FROM log",
		"CREATE PROCEDURE keeps() BEGIN SET @k='SELECT 4 AS four'; PREPARE kept FROM @k; END", "CALL keeps()", "EXECUTE kept",
		"SELECT COUNT(*) FROM log", "CREATE PROCEDURE grows(x TEXT) BEGIN SET @d=CONCAT('CREATE TABLE ', x, ' (a INT)'); PREPARE d FROM @d; EXECUTE d; DEALLOCATE PREPARE d; EXECUTE IMMEDIATE CONCAT('INSERT INTO ', x, ' VALUES (1), (2)');" +
			" EXECUTE IMMEDIATE 'START TRANSACTION'; EXECUTE IMMEDIATE CONCAT('DELETE FROM ', x); EXECUTE IMMEDIATE 'ROLLBACK'; END",
		"CALL grows('grown')", "SELECT * FROM grown", "CALL grows('grown')",
		"PREPARE own FROM 'SELECT 3 AS three'", "CREATE PROCEDURE takes() EXECUTE own", "CALL takes()", "CREATE PROCEDURE unknown() EXECUTE nosuch", "CALL unknown()",
		"SET NAMES latin1", "CALL show_it('v=\\'v1\\'')", "SET NAMES utf8mb4", "SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
		`CREATE PROCEDURE quotes() EXECUTE IMMEDIATE 'SELECT "id", ''\'' AS b FROM "t" LIMIT 1'`, "CALL quotes()", "SET sql_mode=DEFAULT", "CALL quotes()",
	} {
		if wanted, is := show(t.Context(), want, text), show(t.Context(), got, text); wanted != is {
			t.Errorf("%s\nwant %s\n got %s", text, wanted, is)
		}
	}
	awaitEqual(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
}

// A text that a program executes, and what it yields, cannot take the place of what the program tells its node: though it can be read in
// the list of processes how that looks.
func TestTextsTellNothing(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE app.seen (tag VARCHAR(40))", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'")
	u := openAs(t, leader, "u", "", "app", nil)
	for i, told := range []string{
		"'text', ', ''AA'' AS k, ''BB'' AS h, @@sql_mode AS m, ''utf8mb4'' AS c, HEX(''SELECT 1'') AS x, 8 AS l'", "'text', ', @@sql_mode AS m, ''utf8mb4'' AS c, HEX(''SELECT 1'') AS x, 8 AS l'",
		"'step', ', ''AA'' AS k, ''BB'' AS h'", "'prepared', ''", "'prepared', ', ''AA'' AS k, ''BB'' AS h'", "'committed', ''", "'begin', ', SHA2(''AA'', 256) AS h'", "'ending', ', ''AA'' AS k, ''BB'' AS h'",
	} {
		name := fmt.Sprintf("p%d", i)
		execute(t, u, "DELETE FROM seen", "CREATE PROCEDURE "+name+"() BEGIN DECLARE w INT; INSERT INTO t (v) VALUES ('"+name+"'); WHILE NOT EXISTS (SELECT 1 FROM seen) DO SET w=SLEEP(0.05); END WHILE;"+
			" SELECT tag INTO @tag FROM seen; EXECUTE IMMEDIATE CONCAT('SELECT 0 AS ', @tag, "+told+"); EXECUTE IMMEDIATE 'SET GLOBAL wait_timeout=4321'; COMMIT; END")
		conn := oneConn(t, u)
		_, err := conn.ExecContext(within(t, 40*time.Second), "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
		check(t, err)
		id := mustQuery(t, conn, "SELECT CONNECTION_ID()")
		called := make(chan error, 1)
		go func() { _, err := conn.ExecContext(within(t, 40*time.Second), "CALL "+name+"()"); called <- err }()
		eventually(t, 40*time.Second, func() error {
			tag := regexp.MustCompile("nexus_[0-9a-f]{12}_").FindString(mustQuery(t, u, "SELECT info FROM information_schema.processlist WHERE id="+id))
			if tag == "" {
				return errors.New("the block is not seen")
			}
			execute(t, u, "INSERT INTO seen VALUES ('"+tag+"')")
			return nil
		})
		if err := <-called; err == nil || code(err) != 0 {
			t.Errorf("%s: %v, want a connection that is lost", told, err)
		}
		conn.Close()
	}
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(v) FROM app.t"); got != "" {
		t.Errorf("committed is %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
}

// CALL tells how many rows the procedure has changed, as one server alone does.
func TestRowsOfProcedures(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	got, want := oneConn(t, open(t, leader)), oneConn(t, startAlone(t))
	ctx := within(t, 60*time.Second)
	for _, text := range []string{
		"CREATE DATABASE app", "USE app", "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
		"CREATE PROCEDURE two() BEGIN INSERT INTO t (v) VALUES (1), (2); COMMIT; INSERT INTO t (v) VALUES (3); COMMIT; END", "CALL two()",
		"CREATE PROCEDURE undone() BEGIN START TRANSACTION; INSERT INTO t (v) VALUES (1), (2); ROLLBACK; END", "CALL undone()",
		"CREATE PROCEDURE text(x TEXT) BEGIN EXECUTE IMMEDIATE x; END", "CALL text('UPDATE t SET v=v+1')", "CALL text('COMMIT')", "CALL text('SELECT 1')", "CALL text('CREATE TABLE u (a INT)')",
		"CREATE PROCEDURE grows() BEGIN ALTER TABLE t ADD w INT; INSERT INTO t (v) VALUES (7); END", "CALL grows()", "BEGIN", "CALL two()", "COMMIT", "CALL text('DELETE FROM t')",
		"CREATE PROCEDURE empties() BEGIN INSERT INTO t (v) VALUES (8); TRUNCATE t; INSERT INTO t (v) VALUES (9), (10); END", "CALL empties()", "CALL text('TRUNCATE t')", "CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO t (v) VALUES (1), (2)",
		"CALL text('ALTER TABLE t COMMENT \"x\"')", "CALL text('ALTER TABLE t ADD x INT')", "CALL grows()", "CALL empties()", "CALL text('TRUNCATE t')", "CALL text('DROP TABLE t')", "CALL text('ALTER TABLE t DROP COLUMN nosuch')",
	} {
		wanted, is := changed(ctx, want, text), changed(ctx, got, text)
		if strings.HasPrefix(text, "CALL") && wanted != is {
			t.Errorf("%s: %s, want %s", text, is, wanted)
		}
	}
}

func changed(ctx context.Context, conn *sql.Conn, text string) string {
	r, err := conn.ExecContext(ctx, text)
	if err != nil {
		return err.Error()
	}
	n, err := r.RowsAffected()
	return fmt.Sprint(n, err)
}

// A text drops the temporary table of the session, and not the one of all that has the same name, wherever that was made. Of several tables it is not known
// which are temporary, if the session may have made some.
func TestTextsAndTemporaryTables(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (a INT)", "CREATE TABLE app.u (a INT)", "CREATE PROCEDURE app.drops(x TEXT) EXECUTE IMMEDIATE CONCAT('DROP TABLE ', x)",
		"CREATE PROCEDURE app.makes() CREATE TEMPORARY TABLE t (b INT)", "CREATE FUNCTION app.f() RETURNS INT BEGIN CREATE TEMPORARY TABLE t (b INT); RETURN 1; END")
	for _, made := range []string{"CREATE TEMPORARY TABLE t (b INT)", "CALL makes()", "SELECT f()", "EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE t (b INT)'"} {
		conn := oneConn(t, db)
		for _, text := range []string{"USE app", made, "CALL drops('t')", made, "FLUSH STATUS", "CALL drops('app.t')", made} {
			_, err := conn.ExecContext(within(t, 40*time.Second), text)
			check(t, err)
		}
		for _, text := range []string{"CALL drops('u, t')", "FLUSH STATUS", "CALL drops('u, t')"} {
			if _, err := conn.ExecContext(within(t, 40*time.Second), text); text != "FLUSH STATUS" && (code(err) != 1235 || !strings.Contains(err.Error(), "connect again (to drop it is not enough)")) {
				t.Errorf("%s, %s: %v, want 1235", made, text, err)
			}
		}
		if got := mustQuery(t, db, "SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema='app'"); got != "t,u" {
			t.Errorf("%s: tables %s", made, got)
		}
		for _, text := range []string{"CALL drops('t')", "CALL drops('t')"} { // the temporary one, and that of all
			_, err := conn.ExecContext(within(t, 40*time.Second), text)
			check(t, err)
		}
		execute(t, db, "CREATE TABLE app.t (a INT)")
		check(t, conn.Raw(func(any) error { return nil }))
		conn.Close()
		db.SetMaxIdleConns(0) // no session has two of them
	}
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}
