package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Procedures truncate, alter, index and drop temporary tables as on a plain server, whoever has made these and whatever else has their names.
func TestTemporaryTablesOfPrograms(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE DATABASE other", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "CREATE TABLE app.hidden (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
			"INSERT INTO app.hidden (v) VALUES (1), (2), (3)", "CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION", "CREATE USER owner@'%'", "GRANT ALL ON app.* TO owner@'%'",
			"CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'", "CREATE USER few@'%'", "GRANT EXECUTE, SELECT, INSERT, CREATE ROUTINE, CREATE TEMPORARY TABLES ON app.* TO few@'%'")
	}
	got, want := sessionsOf(t, leader, alone, "dba", "owner", "u", "few")
	rows := "dba SELECT GROUP_CONCAT(v ORDER BY id) FROM app.t"
	kept := "dba SELECT GROUP_CONCAT(id) FROM app.hidden"
	sayAllAlike(t, got, want,
		"dba USE app", "owner USE app", "u USE app", "few USE app",
		// One that it has made itself.
		"dba CREATE PROCEDURE fills(n INT) BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS tmp (id INT AUTO_INCREMENT PRIMARY KEY, v INT); INSERT INTO tmp (v) VALUES (n), (n+1); TRUNCATE TABLE tmp; SELECT ROW_COUNT();"+
			" INSERT INTO tmp (v) VALUES (n*10), (n*10+1); SELECT * FROM tmp; INSERT INTO t (v) SELECT v FROM tmp; SELECT ROW_COUNT(); END",
		"dba CALL fills(1)", "dba CALL fills(2)", "dba SELECT * FROM tmp", "u CALL fills(3)", "u SELECT * FROM tmp", "owner CALL fills(4)", "few CALL fills(5)", rows, "dba TRUNCATE tmp", "dba CALL fills(6)", "dba DROP TEMPORARY TABLE tmp",
		// One that the client has made.
		"dba CREATE PROCEDURE empties() BEGIN TRUNCATE mine; INSERT INTO mine (v) VALUES (5); SELECT * FROM mine; END", "dba CREATE TEMPORARY TABLE mine (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "dba INSERT INTO mine (v) VALUES (1), (2)", "dba CALL empties()",
		"few CREATE TEMPORARY TABLE mine (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "few INSERT INTO mine (v) VALUES (1), (2)", "few CALL empties()", "u CALL empties()", "owner CALL empties()",
		"few CREATE PROCEDURE ofown() SQL SECURITY INVOKER BEGIN TRUNCATE mine; ALTER TABLE mine ADD w INT DEFAULT 4; SELECT * FROM mine; DROP TABLE mine; END", "few CALL ofown()", "few CALL ofown()", "few SELECT * FROM mine", "dba CALL ofown()",
		// One hides another of the name, or does not.
		"dba CREATE PROCEDURE hides(x INT) BEGIN IF x THEN CREATE TEMPORARY TABLE hidden (v INT); INSERT INTO hidden VALUES (1); END IF; TRUNCATE hidden; SELECT COUNT(*) FROM hidden; IF x THEN DROP TABLE hidden; END IF; SELECT COUNT(*) FROM hidden; END",
		"dba CALL hides(1)", kept, "u CALL hides(1)", kept, "few CALL hides(1)", kept, "dba CALL hides(0)", kept, "dba INSERT INTO hidden (v) VALUES (7), (8)", kept, "u CALL hides(0)", kept, "dba INSERT INTO hidden (v) VALUES (9)",
		"few CREATE PROCEDURE denied(x INT) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 @c=MYSQL_ERRNO, @m=MESSAGE_TEXT; SELECT @c, @m; END; IF x THEN CREATE TEMPORARY TABLE hidden (v INT); END IF; TRUNCATE hidden; ALTER TABLE hidden ADD w INT;"+
			" CREATE INDEX i ON hidden (v); DROP INDEX i ON hidden; DROP TABLE hidden; END", "few CALL denied(1)", kept, "few CALL denied(0)", kept, "u CALL denied(1)", kept,
		"dba CREATE PROCEDURE turns() BEGIN DECLARE i INT DEFAULT 0; DECLARE x INT; DECLARE k CURSOR FOR SELECT id FROM hidden; OPEN k; WHILE i<4 DO SET i=i+1; IF i%2 THEN CREATE TEMPORARY TABLE hidden (id INT AUTO_INCREMENT PRIMARY KEY, v INT, w INT); END IF;"+
			" INSERT INTO hidden (v) VALUES (i), (i); TRUNCATE hidden; INSERT INTO hidden (v) VALUES (i); SELECT COUNT(*), MAX(id), MAX(v) FROM hidden; IF i=1 THEN FETCH k INTO x; SELECT x; END IF; DROP TEMPORARY TABLE IF EXISTS hidden; END WHILE; END", "dba CALL turns()", kept, "u CALL turns()", kept,
		// Made by what is called, before or behind the procedure was looked at.
		"dba CREATE PROCEDURE makes() BEGIN CREATE TEMPORARY TABLE hidden (v INT); INSERT INTO hidden VALUES (1); END", "dba CREATE FUNCTION maker() RETURNS INT DETERMINISTIC BEGIN CREATE TEMPORARY TABLE hidden (v INT); RETURN 1; END",
		"dba CREATE PROCEDURE bymaker() BEGIN CALL makes(); TRUNCATE hidden; ALTER TABLE hidden ADD w INT; SELECT * FROM hidden; DROP TABLE hidden; SELECT COUNT(*) FROM hidden; SET @x=maker(); DROP TABLE hidden; SELECT COUNT(*) FROM hidden; END", "dba CALL bymaker()", kept, "u CALL bymaker()", kept, "owner CALL bymaker()", kept,
		"owner CREATE PROCEDURE owns() SQL SECURITY INVOKER BEGIN CALL makes(); TRUNCATE hidden; CREATE INDEX i ON hidden (v); DROP TABLE hidden; END", "owner CALL owns()", "dba CALL owns()", kept,
		"dba CREATE PROCEDURE trunc() TRUNCATE TABLE hidden", "dba CREATE PROCEDURE nests(x INT) BEGIN IF x THEN CALL makes(); END IF; CALL trunc(); SELECT COUNT(*) FROM hidden; IF x THEN DROP TEMPORARY TABLE hidden; END IF; SELECT COUNT(*) FROM hidden; END",
		"dba CALL nests(1)", kept, "u CALL nests(1)", kept, "few CALL nests(1)", kept, "few CREATE TEMPORARY TABLE hidden (v INT)", "few CALL trunc()", "few DROP TEMPORARY TABLE hidden", kept, "dba CALL nests(0)", kept, "dba INSERT INTO hidden (v) VALUES (1), (2)", "u CALL nests(0)", kept, "dba INSERT INTO hidden (v) VALUES (1), (2)",
		// As texts.
		"dba CREATE PROCEDURE texts(x TEXT) BEGIN EXECUTE IMMEDIATE CONCAT('CREATE TEMPORARY TABLE ', x, ' (id INT AUTO_INCREMENT PRIMARY KEY, v INT)'); EXECUTE IMMEDIATE CONCAT('INSERT INTO ', x, ' (v) VALUES (1), (2)'); SET @q=CONCAT('TRUNCATE TABLE ', x); PREPARE s FROM @q; EXECUTE s; SELECT ROW_COUNT(); EXECUTE s; DEALLOCATE PREPARE s;"+
			" EXECUTE IMMEDIATE CONCAT('INSERT INTO ', x, ' (v) VALUES (3)'); EXECUTE IMMEDIATE CONCAT('SELECT * FROM ', x); EXECUTE IMMEDIATE CONCAT('ALTER TABLE ', x, ' ADD w INT'); EXECUTE IMMEDIATE CONCAT('CREATE INDEX i ON ', x, ' (w)'); EXECUTE IMMEDIATE CONCAT('DROP TABLE ', x); EXECUTE IMMEDIATE CONCAT('SELECT COUNT(*) FROM ', x); END",
		"dba CALL texts('hidden')", kept, "u CALL texts('hidden')", kept, "dba CALL texts('`hidden`')", "dba CALL texts('app.hidden')", kept, "dba CALL texts('tmp9')", "u CALL texts('tmp9')",
		"few CREATE PROCEDURE fewtexts(x TEXT) SQL SECURITY INVOKER BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 @c=MYSQL_ERRNO; SELECT @c; END; EXECUTE IMMEDIATE CONCAT('CREATE TEMPORARY TABLE ', x, ' (v INT)'); EXECUTE IMMEDIATE CONCAT('TRUNCATE ', x); EXECUTE IMMEDIATE CONCAT('ALTER TABLE ', x, ' DROP COLUMN nosuch'); EXECUTE IMMEDIATE CONCAT('DROP TABLE ', x); END",
		"few CALL fewtexts('hidden')", kept, "few CALL fewtexts('tmp9')", "dba CREATE TEMPORARY TABLE hidden (v INT)", "dba PREPARE s FROM 'TRUNCATE app.hidden'", "dba CREATE PROCEDURE executes() BEGIN EXECUTE s; COMMIT; EXECUTE s; END", "dba CALL executes()", "dba DEALLOCATE PREPARE s", "dba DROP TABLE hidden", kept,
		// Everything else that is done to one.
		"dba CREATE PROCEDURE does() BEGIN DECLARE n INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 @c=MYSQL_ERRNO, @s=RETURNED_SQLSTATE, @m=MESSAGE_TEXT; SET n=n+1; SELECT n, @c, @s, @m; END;"+
			" CREATE TEMPORARY TABLE a (id INT, v VARCHAR(10)); INSERT INTO a VALUES (1, 'x'), (2, 'y'), (2, 'z'); ALTER TABLE a ADD w INT DEFAULT 3 FIRST; ALTER TABLE a ADD w INT; ALTER TABLE a DROP COLUMN nosuch; CREATE UNIQUE INDEX i ON a (id); CREATE INDEX i ON a (v); CREATE INDEX i ON a (id);"+
			" DROP INDEX i ON a; DROP INDEX i ON a; ALTER TABLE a MODIFY v INT; ALTER TABLE a MODIFY v TEXT, ENGINE=MyISAM, COMMENT 'it''s'; SHOW CREATE TABLE a; CREATE TEMPORARY TABLE b (a INT); ALTER TABLE a RENAME TO b; ALTER TABLE a RENAME TO c; SELECT * FROM c; DROP TABLE a; DROP TABLE b, c; DROP TABLE IF EXISTS b, c; SELECT n; END", "dba CALL does()", "u CALL does()",
		"dba CREATE PROCEDURE fails() BEGIN CREATE TEMPORARY TABLE a (id INT); INSERT INTO t (v) VALUES (99); ALTER TABLE a DROP COLUMN nosuch; END", "dba CALL fails()", "dba SHOW WARNINGS", "u CALL fails()", "u SHOW WARNINGS", rows, "dba DROP TABLE a",
		"dba CREATE PROCEDURE engines() BEGIN CREATE TEMPORARY TABLE e1 (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM; CREATE TEMPORARY TABLE e2 (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=MEMORY; CREATE TEMPORARY TABLE e3 (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=Aria;"+
			" INSERT INTO e1 VALUES (5); INSERT INTO e2 VALUES (5); INSERT INTO e3 VALUES (5); TRUNCATE e1; TRUNCATE e2; TRUNCATE e3; INSERT INTO e1 VALUES (NULL); INSERT INTO e2 VALUES (NULL); INSERT INTO e3 VALUES (NULL); SELECT e1.id, e2.id, e3.id FROM e1, e2, e3; DROP TABLE e1, e2, e3; END", "dba CALL engines()", "u CALL engines()",
		// Transactions.
		"dba DELETE FROM t", "dba BEGIN", "dba INSERT INTO t (v) VALUES (100)", "dba CALL fills(10)", "dba INSERT INTO t (v) VALUES (200)", "dba ROLLBACK", rows, "few BEGIN", "few INSERT INTO t (v) VALUES (101)", "few CREATE TEMPORARY TABLE mine (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "few CALL ofown()", "few ROLLBACK", rows,
		"few BEGIN", "few CALL denied(1)", "few ROLLBACK", "few SET autocommit=0", "few INSERT INTO t (v) VALUES (102)", "few CALL fills(11)", "few ROLLBACK", "few SET autocommit=1", rows,
		"dba CREATE PROCEDURE undoes() BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; SELECT 'undone'; END; START TRANSACTION; CREATE TEMPORARY TABLE un (id INT); INSERT INTO t (v) VALUES (300); TRUNCATE un; START TRANSACTION; INSERT INTO t (v) VALUES (301); INSERT INTO un VALUES (1); SIGNAL SQLSTATE '45000'; END",
		"dba CALL undoes()", "dba SELECT COUNT(*) FROM un", "dba DROP TABLE un", "u CALL undoes()", rows,
		// Names, settings, parameters and lines.
		"dba CREATE PROCEDURE `größe`(IN a INT, INOUT b INT, OUT c INT) BEGIN CREATE TEMPORARY TABLE `ö``x` (`ü` INT); INSERT INTO `ö``x` VALUES (a); TRUNCATE TABLE app.`ö``x`; SELECT COUNT(*) INTO c FROM `ö``x`; SET b=a+b; DROP TABLE `ö``x`; END", "dba SET @b=1", "dba CALL `größe`(2, @b, @c)", "dba SELECT @b, @c", "dba CREATE PROCEDURE umlaut() BEGIN CREATE TEMPORARY TABLE `ö` (a INT); TRUNCATE `ö`; DROP TABLE `ö`; SELECT 'ö'; END", "dba SET NAMES latin1", "dba CALL umlaut()", "u CALL umlaut()", "dba SET NAMES utf8mb4",
		`dba SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'`, `dba CREATE PROCEDURE quoted() BEGIN CREATE TEMPORARY TABLE "a b" (x TEXT); INSERT INTO "a b" VALUES ('\'); TRUNCATE "a b"; ALTER TABLE "a b" COMMENT '\'; SELECT COUNT(*) FROM "a b"; DROP TABLE "a b"; END`, "dba CALL quoted()", "dba SET sql_mode=DEFAULT", "dba CALL quoted()", "u CALL quoted()",
		"dba SET sql_safe_updates=1, sql_select_limit=1", "dba CALL hides(1)", "dba SET sql_safe_updates=0, sql_select_limit=DEFAULT", kept,
		"dba CREATE PROCEDURE lines()\nBEGIN\n  CREATE TEMPORARY TABLE l (a INT);\n  TRUNCATE TABLE\n    l;\n  ALTER TABLE l -- here\n    ADD b INT;\n  SIGNAL SQLSTATE '45000';\nEND", "dba CALL lines()", "dba SHOW WARNINGS", "u CALL lines()", "u SHOW WARNINGS",
		"dba CREATE FUNCTION counts() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM hidden)", "dba CREATE PROCEDURE args(n INT) BEGIN CREATE OR REPLACE TEMPORARY TABLE x (a INT); INSERT INTO x VALUES (n); TRUNCATE x; SELECT n, COUNT(*) FROM x; END", "dba CALL args(counts()+(SELECT MIN(id) FROM hidden))", "u CALL args(1+1)",
		"dba CREATE PROCEDURE other.far() BEGIN CREATE TEMPORARY TABLE app.hidden (a INT); TRUNCATE app.hidden; DROP TABLE app.hidden; CREATE TEMPORARY TABLE hidden (a INT); TRUNCATE hidden; SELECT COUNT(*) FROM hidden; DROP TABLE hidden; END", "dba CALL other.far()", kept,
		"dba CREATE PROCEDURE again(n INT) BEGIN CREATE OR REPLACE TEMPORARY TABLE r (a INT); INSERT INTO r VALUES (n); IF n>0 THEN CALL again(n-1); END IF; TRUNCATE r; SELECT COUNT(*) FROM r; END", "dba SET max_sp_recursion_depth=3", "dba CALL again(2)", "u SET max_sp_recursion_depth=3", "u CALL again(2)",
		"dba CREATE PROCEDURE real_() BEGIN CREATE TABLE made (id INT AUTO_INCREMENT PRIMARY KEY); INSERT INTO made VALUES (7); CREATE TEMPORARY TABLE made (a INT); INSERT INTO made VALUES (1); TRUNCATE made; DROP TABLE made; SELECT * FROM made; TRUNCATE made; INSERT INTO made VALUES (NULL); SELECT * FROM made; DROP TABLE made; TRUNCATE made; END", "dba CALL real_()", "u CALL real_()",
		"dba SELECT @@tx_read_only, DATABASE(), @@in_transaction", "u SELECT @@tx_read_only, DATABASE(), @@in_transaction", "dba CREATE TABLE behind (a INT)", "dba INSERT INTO behind VALUES (1)",
	)
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
	for _, n := range c.Nodes {
		check(t, readyz(n))
	}
}

// A prepared CALL, and an event, do so too, and CALL tells how many rows were changed.
func TestTemporaryTablesOfPreparedCalls(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'",
			"CREATE PROCEDURE app.fills(n INT) BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS tmp (id INT AUTO_INCREMENT PRIMARY KEY, v INT); INSERT INTO tmp (v) VALUES (n), (n+1); TRUNCATE TABLE tmp; INSERT INTO tmp (v) VALUES (n*10); SELECT * FROM tmp; INSERT INTO t (v) SELECT v FROM tmp; END",
			"CREATE PROCEDURE app.trunc() TRUNCATE TABLE tmp", "CREATE PROCEDURE app.nests(n INT) BEGIN CREATE OR REPLACE TEMPORARY TABLE tmp (id INT AUTO_INCREMENT PRIMARY KEY, v INT); INSERT INTO tmp (v) VALUES (n); CALL trunc(); CALL fills(n); DROP TABLE tmp; END")
	}
	there, err := sql.Open("mysql", fmt.Sprintf("u@tcp(127.0.0.1:%s)/app", mustQuery(t, alone, "SELECT @@port")))
	check(t, err)
	t.Cleanup(func() { there.Close() })
	for _, pair := range []struct{ got, want *sql.Conn }{{account(t, leader, "u", "app"), oneConn(t, there)}, {oneConn(t, db), oneConn(t, alone)}} {
		for _, tc := range []struct {
			text string
			args []any
		}{{"CALL app.fills(?)", []any{3}}, {"CALL app.fills(?)", []any{4}}, {"CALL app.nests(?)", []any{5}}, {"CALL app.fills(?)", []any{nil}}, {"CALL app.fills(7)", nil}, {"CALL app.nests(8)", nil}} {
			if want, got := showAll(t.Context(), pair.want, tc.text, tc.args), showAll(t.Context(), pair.got, tc.text, tc.args); want != got {
				t.Errorf("%s %v\nwant %s\n got %s", tc.text, tc.args, want, got)
			}
		}
		ctx := within(t, 60*time.Second)
		for _, text := range []string{"USE app", "CALL nests(9)", "CALL fills(1)", "CALL trunc()", "CALL fills(2)"} {
			if want, got := changed(ctx, pair.want, text), changed(ctx, pair.got, text); want != got {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
		}
	}
	want := mustQuery(t, alone, "SELECT COUNT(*)+1 FROM app.t")
	execute(t, db, "CREATE EVENT app.e ON SCHEDULE AT NOW() DO CALL nests(6)")
	awaitAnswer(t, db, "SELECT COUNT(*) FROM app.t", want)
	awaitAnswer(t, db, "SELECT COUNT(*) FROM information_schema.events", "0")
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

// What keeps a program from changing other tables than temporary ones on one server is the server itself: it refuses to, in a session that holds a lock of another table,
// also where the session may write, and whatever rights the definer of the program has.
func TestLockKeepsOtherTables(t *testing.T) {
	t.Parallel()
	alone := startAlone(t)
	execute(t, alone, "CREATE DATABASE nexus", "CREATE TABLE nexus.rehearsal (a INT)", "CREATE DATABASE app", "CREATE TABLE app.kept (id INT AUTO_INCREMENT PRIMARY KEY, v INT, KEY k (v))", "INSERT INTO app.kept (v) VALUES (1), (2)",
		"CREATE VIEW app.seen AS SELECT * FROM app.kept", "CREATE TABLE app.partitioned (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2", "CREATE SEQUENCE app.s")
	conn := oneConn(t, alone)
	ctx := within(t, 60*time.Second)
	_, err := conn.ExecContext(ctx, "CREATE TEMPORARY TABLE app.temporary_one (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
	check(t, err)
	for _, text := range []string{
		"TRUNCATE kept", "TRUNCATE TABLE app.kept", "TRUNCATE seen", "TRUNCATE partitioned", "ALTER TABLE kept ADD w INT", "ALTER TABLE kept RENAME TO gone", "ALTER TABLE kept AUTO_INCREMENT=100", "ALTER TABLE kept COMMENT 'x'", "ALTER TABLE kept FORCE", "ALTER TABLE partitioned TRUNCATE PARTITION p0",
		"ALTER TABLE partitioned EXCHANGE PARTITION p0 WITH TABLE temporary_one", "ALTER TABLE kept DISABLE KEYS", "CREATE INDEX i ON kept (v)", "CREATE INDEX IF NOT EXISTS k ON kept (v)", "DROP INDEX k ON kept", "DROP INDEX IF EXISTS k ON kept", "DROP TABLE kept", "DROP TABLE IF EXISTS kept", "DROP TABLE partitioned, kept", "DROP TABLE s",
		"ALTER TABLE IF EXISTS kept ADD w INT", "TRUNCATE kept WAIT 1", "ALTER TABLE kept ORDER BY v", "ALTER TABLE kept ENGINE=MyISAM", "ALTER TABLE kept CONVERT TO CHARACTER SET latin1", "ALTER TABLE nexus.rehearsal ADD b INT", "TRUNCATE nexus.rehearsal", "DROP TABLE nexus.rehearsal",
	} {
		for _, definer := range []string{"", "BEGIN NOT ATOMIC "} {
			block := "LOCK TABLES nexus.rehearsal READ; SET SESSION TRANSACTION READ WRITE; " + text
			if definer != "" {
				block = definer + "EXECUTE IMMEDIATE 'LOCK TABLES nexus.rehearsal READ'; SET SESSION TRANSACTION READ WRITE; " + text + "; END"
			}
			var failed error
			for _, part := range partsOf(block, definer != "") {
				if _, err := conn.ExecContext(ctx, part); err != nil {
					failed = err
				}
			}
			if failed == nil && !strings.Contains(text, "IF EXISTS") && !strings.Contains(text, "IF NOT EXISTS") {
				t.Errorf("%s was executed", text)
			}
			if _, err := conn.ExecContext(ctx, "UNLOCK TABLES"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for question, want := range map[string]string{
		"SELECT CONCAT(COUNT(*), MAX(id)) FROM app.kept": "22", "SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema='app'": "kept,partitioned,s,seen",
		"SELECT GROUP_CONCAT(column_name ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema='app' AND table_name='kept'": "id,v", "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema='app' AND table_name='kept'": "2",
		"SELECT CONCAT(engine, auto_increment, table_comment) FROM information_schema.tables WHERE table_schema='app' AND table_name='kept'": "InnoDB3", "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema='nexus'": "1",
	} {
		if got := mustQuery(t, alone, question); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

func partsOf(text string, whole bool) []string {
	if whole {
		return []string{text}
	}
	return strings.Split(text, "; ")
}

// Whatever a program does around a schema change, and whoever breaks it off, a table that is no temporary one is changed on all servers or on none.
func TestOtherTablesAreChangedEverywhere(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'", "CREATE USER few@'%'", "GRANT EXECUTE ON app.* TO few@'%'")
	const anything = "DECLARE CONTINUE HANDLER FOR 1100, 1146, 1142, 1399, 1792 INSERT INTO t (v) VALUES (-1); DECLARE CONTINUE HANDLER FOR SQLEXCEPTION, SQLWARNING, NOT FOUND BEGIN DROP TEMPORARY TABLE IF EXISTS t; INSERT INTO t (v) VALUES (-2); END; "
	for i, body := range []string{
		"CREATE TEMPORARY TABLE t (v INT); TRUNCATE t; DROP TEMPORARY TABLE t; TRUNCATE t; INSERT INTO t (v) VALUES (1);",
		"CREATE TEMPORARY TABLE t (v INT); TRUNCATE nosuch; TRUNCATE t; TRUNCATE t; DROP TABLE t; INSERT INTO t (v) VALUES (2);",
		"CREATE TEMPORARY TABLE t (v INT); ALTER TABLE t RENAME TO tt; TRUNCATE t; ALTER TABLE tt RENAME TO t; TRUNCATE t; DROP TABLE t; INSERT INTO t (v) VALUES (3);",
		"CREATE TEMPORARY TABLE t (v INT); ALTER TABLE t ADD v INT; ALTER TABLE t DROP nosuch; INSERT INTO t (v) VALUES (4);",
		"CREATE TEMPORARY TABLE t (v INT); DROP TABLE t, nosuch; DROP TABLE IF EXISTS nosuch, t; OPTIMIZE TABLE t; RENAME TABLE t TO t5; INSERT INTO t (v) VALUES (5);",
		"SET max_statement_time=0.01; CREATE TEMPORARY TABLE t (v INT); TRUNCATE t; SET max_statement_time=0; TRUNCATE t; INSERT INTO t (v) VALUES (6);",
		"SET lock_wait_timeout=0; CREATE TEMPORARY TABLE t (v INT); TRUNCATE t; INSERT INTO t (v) VALUES (7);",
		"CREATE TEMPORARY TABLE t (v INT); TRUNCATE t; DROP TABLE t; ALTER TABLE t ADD IF NOT EXISTS w INT; SET lock_wait_timeout=DEFAULT; INSERT INTO t (v) VALUES (8);",
	} {
		for _, handlers := range []string{"", anything} {
			name := fmt.Sprintf("app.p%d_%d", i, len(handlers))
			u := openAs(t, leader, "u", "", "app", nil)
			execute(t, u, "CREATE PROCEDURE "+name+"() BEGIN "+handlers+body+" END")
			for _, conn := range []*sql.Conn{oneConn(t, u), account(t, leader, "few", "app")} {
				execute(t, db, "CREATE OR REPLACE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "DROP TABLE IF EXISTS app.t5")
				ctx := within(t, 60*time.Second)
				_, err := conn.ExecContext(ctx, "CALL "+name+"()") // what it answers is compared elsewhere
				t.Logf("%s: %v", name, err)
				conn.Close()
			}
		}
	}
	// Interrupted at any moment.
	execute(t, db, "CREATE PROCEDURE app.loops() BEGIN DECLARE i INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SET i=i+1; WHILE i<200 DO SET i=i+1; CREATE OR REPLACE TEMPORARY TABLE kept (v INT); TRUNCATE kept; END WHILE; END",
		"CREATE TABLE app.kept (v INT)", "INSERT INTO app.kept VALUES (1), (2)")
	for i := range 12 {
		conn := account(t, leader, "few", "app")
		id := mustQuery(t, conn, "SELECT CONNECTION_ID()")
		ctx, cancel := context.WithCancel(within(t, 60*time.Second))
		called := make(chan struct{})
		go func() { _, _ = conn.ExecContext(ctx, "CALL app.loops()"); close(called) }()
		for range 5 * (i + 1) {
			if _, err := db.ExecContext(within(t, 40*time.Second), []string{"KILL QUERY ", "KILL SOFT QUERY "}[i%2]+id); err != nil {
				break // it was ended
			}
		}
		cancel()
		<-called
		conn.Close()
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.kept"); got != "2" {
		t.Errorf("%s rows of a table that was hidden", got)
	}
	execute(t, db, "CREATE TABLE app.behind (a INT)")
	awaitEqual(t, c)
	checkAlike(t, c)
	for _, n := range c.Nodes {
		check(t, readyz(n))
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s transactions beside the log on %s", got, n.Name)
		}
	}
}

// A temporary table that the server cannot open is not taken for the table of all that has its name.
func TestTemporaryTableThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "CREATE TABLE app.m (a INT)", "INSERT INTO app.m VALUES (1)", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'", "CREATE USER ''@'%'", "GRANT ALL ON app.* TO ''@'%'")
	for i, definer := range []string{"u@'%'", "''@'%'"} {
		for j, part := range []string{"nosuch", "t"} {
			execute(t, db, "CREATE OR REPLACE DEFINER="+definer+" PROCEDURE app.p() BEGIN DECLARE CONTINUE HANDLER FOR 1235 BEGIN END; CREATE TEMPORARY TABLE m (a INT) ENGINE=MERGE UNION=("+part+"); INSERT INTO t (v) VALUES (1); TRUNCATE m; EXECUTE IMMEDIATE 'TRUNCATE m'; DROP TEMPORARY TABLE m; INSERT INTO t (v) VALUES (2); END")
			conn := account(t, leader, "u", "app")
			if _, err := conn.ExecContext(within(t, 40*time.Second), "CALL p()"); err != nil {
				t.Errorf("definer %s, %s: %v", definer, part, err)
			}
			conn.Close()
			if got, want := mustQuery(t, db, "SELECT CONCAT(GROUP_CONCAT(v ORDER BY id), ',', (SELECT COUNT(*) FROM app.m)) FROM app.t"), strings.Repeat("1,2,", 2*i+j+1)+"1"; got != want {
				t.Errorf("definer %s, %s: rows %s, want %s", definer, part, got, want)
			}
		}
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

// A program that cannot find out whether a table is temporary ends, whatever handlers it has.
func TestTrialThatIsBrokenOff(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "CREATE TABLE app.kept (a INT)", "INSERT INTO app.kept VALUES (1)", "CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION",
		"CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'",
		"CREATE DEFINER=dba@'%' PROCEDURE app.p() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CREATE TEMPORARY TABLE kept (a INT); INSERT INTO t (v) VALUES (1); TRUNCATE kept; INSERT INTO t (v) VALUES (2); COMMIT; END")
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	holder := oneConn(t, server)
	_, err = holder.ExecContext(within(t, 40*time.Second), "LOCK TABLES nexus.rehearsal WRITE")
	check(t, err)
	conn := account(t, leader, "u", "app")
	_, err = conn.ExecContext(within(t, 40*time.Second), "SET lock_wait_timeout=1")
	check(t, err)
	if _, err := conn.ExecContext(within(t, 40*time.Second), "CALL p()"); err == nil || code(err) != 0 && code(err) != 1927 {
		t.Errorf("%v, want a connection that is lost", err)
	}
	conn.Close()
	_, err = holder.ExecContext(within(t, 40*time.Second), "UNLOCK TABLES")
	check(t, err)
	if got := mustQuery(t, db, "SELECT CONCAT(GROUP_CONCAT(v), ',', (SELECT COUNT(*) FROM app.kept)) FROM app.t"); got != "1,1" {
		t.Errorf("rows %s", got)
	}
	execute(t, db, "CREATE TABLE app.behind (a INT)") // with which the node ends what it has given up
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

// What a program does to a temporary table may take its time, and holds up nobody who announces an address.
func TestTrialHoldsUpNoAnnouncement(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE PROCEDURE app.alters() ALTER TABLE kept ADD KEY (v, w), ADD KEY (w, v)")
	conn := oneConn(t, db)
	exec(t, conn, "USE app", "CREATE TEMPORARY TABLE kept AS SELECT seq AS v, REPEAT('x', 100) AS w FROM seq_1_to_300000")
	altered := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(within(t, 120*time.Second), "CALL alters()")
		altered <- err
	}()
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	eventually(t, 60*time.Second, func() error {
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM information_schema.processlist WHERE state='copy to tmp table'"); got != "1" {
			return errors.New("the table is not being altered yet")
		}
		return nil
	})
	announcing := oneConn(t, server)
	exec(t, announcing, "SET SESSION sql_log_bin=0, lock_wait_timeout=1", "REPLACE INTO nexus.address SELECT * FROM nexus.address")
	check(t, <-altered)
}
