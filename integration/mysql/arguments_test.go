package mysql

import (
	"strings"
	"testing"
	"time"
)

// What stands in the arguments of CALL, and how the procedure calls its variables, is nothing to the block that it is executed as: a procedure
// that ends transactions does what it does on one server alone.
func TestArgumentsOfProcedures(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	got, want := oneConn(t, open(t, leader)), oneConn(t, startAlone(t))
	for _, text := range []string{
		"CREATE DATABASE app", "USE app", "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(80) CHARACTER SET utf8mb4)", "CREATE TABLE q (id INT)", "INSERT INTO q VALUES (7)",
		// Variables that are called as the columns of what the block reads.
		"CREATE PROCEDURE named(code INT, step INT, state INT, message INT, sequence INT, connection INT) BEGIN INSERT INTO t (v) VALUES (code+step+state+message+sequence+connection); COMMIT;" +
			" START TRANSACTION; INSERT INTO t (v) VALUES ('behind'); ROLLBACK; INSERT INTO t (v) VALUES ('again'); COMMIT; END",
		"CALL named(1, 2, 3, 4, 5, 6)", "SELECT * FROM t",
		"CREATE PROCEDURE grows(schema_name TEXT, schemata ROW(schema_name INT)) BEGIN ALTER TABLE t ADD w INT; INSERT INTO t (v, w) VALUES (schema_name, 1); COMMIT; END",
		"CREATE PROCEDURE shrinks(schema_name TEXT) BEGIN ALTER TABLE t DROP IF EXISTS w; INSERT INTO t (v) VALUES (schema_name); COMMIT; END", "CALL shrinks('app')", "SELECT * FROM t",
		"CREATE PROCEDURE limits() BEGIN SET SESSION sql_select_limit=0; EXECUTE IMMEDIATE 'SELECT 5'; INSERT INTO t (v) VALUES ('limited'); COMMIT; SET SESSION sql_select_limit=DEFAULT; END",
		"CALL limits()", "SELECT * FROM t",
		// Parameters that are called as a column in an argument behind them.
		"CREATE PROCEDURE finds(id INT, other INT, OUT said INT) BEGIN SET said=other; COMMIT; END", "CALL finds(1, (SELECT id FROM q), @said)", "SELECT @said",
		"CREATE PROCEDURE keeps(x TEXT CHARACTER SET utf8mb4) BEGIN INSERT INTO t (v) VALUES (HEX(x)); COMMIT; END",
		"CREATE PROCEDURE narrow(a INT, b VARCHAR(3), c INT) BEGIN INSERT INTO t (v) VALUES (b); COMMIT; END", "CALL narrow(1, 'long', 1)", "CALL narrow(1, 'b', 'c')",
		"SET NAMES latin1", "CALL keeps('\xe9')", "CALL keeps('\xc3\xa9')", "SET NAMES utf8mb4", "CALL keeps('\xc3\xa9')", "SELECT * FROM t",
		"SET sql_mode='NO_BACKSLASH_ESCAPES'", "CALL keeps('plain')", "SET @a='\\n'", "CALL keeps(@a)",
		"CALL keeps('a\\tb')", "SET sql_mode='ANSI_QUOTES'", `CALL keeps(CONCAT('a', '"', 'b'))`, "SET sql_mode=DEFAULT", "CALL keeps(@@sql_mode)", "SELECT * FROM t",
		// What stands in an argument is of the caller's database.
		"CREATE DATABASE other", "CREATE FUNCTION f() RETURNS TEXT NO SQL RETURN 'of app'", "CREATE FUNCTION other.f() RETURNS TEXT NO SQL RETURN 'of other'", "USE other", "CREATE TABLE q (id INT)", "INSERT INTO q VALUES (8)",
		"CALL app.keeps(f())", "CALL app.keeps((SELECT id FROM q))", "CALL app.finds(1, (SELECT MAX(id) FROM q), @said)", "SELECT @said, DATABASE()", "CALL app.finds(1, 2)", "CALL app.finds(1, 2, 3)", "CALL app.finds(nosuch(), 2, @said)", "USE app", "SELECT * FROM t",
		"CREATE DATABASE leaves", "USE leaves", "DROP DATABASE leaves", "SELECT DATABASE()", "CALL app.keeps('without a database')", "SELECT DATABASE()", "USE app", "SELECT * FROM t",
		// How a procedure is understood does not depend on who has called it first.
		"CREATE PROCEDURE fresh(x TEXT CHARACTER SET utf8mb4) BEGIN INSERT INTO t (v) VALUES (x); COMMIT; END", "CALL fresh('without escapes')", "SET sql_mode=DEFAULT", "SET group_concat_max_len=4",
		"CREATE PROCEDURE short(x TEXT CHARACTER SET utf8mb4) BEGIN INSERT INTO t (v) VALUES (x); COMMIT; END", "CALL short('with a short list')", "SELECT * FROM t",
	} {
		if wanted, is := show(t.Context(), want, text), show(t.Context(), got, text); wanted != is {
			t.Errorf("%s\nwant %s\n got %s", text, wanted, is)
		}
	}
	awaitEqual(t, c)
	checkAlike(t, c)
}

// A program that chooses a character set of results in which its node cannot read what it tells is ended, and keeps nobody waiting.
func TestProgramThatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (a INT)",
		"CREATE PROCEDURE app.tells() BEGIN INSERT INTO t VALUES (1); SET character_set_results=utf16; COMMIT; END",
		"CREATE PROCEDURE app.looks() BEGIN INSERT INTO t VALUES (1); SET character_set_results=ucs2; EXECUTE IMMEDIATE 'SELECT 1'; END")
	for _, name := range []string{"tells", "looks"} {
		conn := oneConn(t, db)
		ctx := within(t, 60*time.Second)
		_, err := conn.ExecContext(ctx, "USE app")
		check(t, err)
		if _, err := conn.ExecContext(ctx, "CALL "+name+"()"); err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v, want the end of the connection", name, err)
		}
		conn.Close()
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.t"); got != "0" {
		t.Errorf("%s rows were committed", got)
	}
}

// No name, mode or character set lets a text reach the server that nobody has looked at.
func TestNoTextIsUnseen(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (a INT)", "CREATE USER m@'%'", "GRANT ALL ON *.* TO m@'%' WITH GRANT OPTION")
	m := openAs(t, leader, "m", "", "app", nil)
	execute(t, m, "CREATE PROCEDURE räw(x TEXT) EXECUTE IMMEDIATE x", "CREATE PROCEDURE plain(x TEXT) EXECUTE IMMEDIATE x", "CREATE PROCEDURE two(a TEXT, b TEXT) BEGIN INSERT INTO t VALUES (1); COMMIT; END",
		"CREATE PROCEDURE hides() BEGIN DECLARE deallocate CONDITION FOR SQLSTATE '45000'; DECLARE EXIT HANDLER FOR deallocate PREPARE s FROM 'SET SESSION sql_log_bin=0'; SIGNAL SQLSTATE '45000'; END")
	for _, attack := range [][]string{
		{"BEGIN NOT ATOMIC CALL raw('SET GLOBAL wait_timeout=4321'); END"}, {"PREPARE c FROM 'CALL raw(?)'", "SET @x='SET GLOBAL wait_timeout=4321'", "EXECUTE c USING @x"},
		{"SET NAMES swe7", "BEGIN NOT ATOMIC CALL `pl[in`('SET GLOBAL wait_timeout=4321'); END"}, {"SET character_set_client=10", "BEGIN NOT ATOMIC CALL `pl[in`('SET GLOBAL wait_timeout=4321'); END"},
		{"CALL two('a', 'b')", "SET sql_mode='NO_BACKSLASH_ESCAPES'", `CALL two('\', '); SET GLOBAL wait_timeout=4321; SELECT (1); -- ')`},
		{"SET sql_mode='ANSI_QUOTES'", `CALL two("\", '"); SET GLOBAL wait_timeout=4321; -- ')`},
		{"SET sql_mode='NO_BACKSLASH_ESCAPES'", `PREPARE c FROM 'CALL two(''\'', ''); SET GLOBAL wait_timeout=4321; SELECT (1); -- '')'`, "SET sql_mode=''", "EXECUTE c"},
		{"PREPARE s FROM 'SELECT 1'", "CALL hides()", "EXECUTE s", "SELECT @@sql_log_bin"}, {"CALL hides()", "EXECUTE s", "SELECT @@sql_log_bin"},
	} {
		conn := oneConn(t, m)
		for _, text := range attack {
			said, err := query(within(t, 40*time.Second), conn, text)
			t.Logf("%s: %q, %v", text, said, err)
			if text == "SELECT @@sql_log_bin" && said != "1" {
				t.Errorf("%q: the binary log is %q", attack, said)
			}
		}
		if got := mustQuery(t, db, "SELECT @@global.wait_timeout"); strings.HasPrefix(got, "4321") {
			t.Errorf("%q has changed the leader's server alone", attack)
			execute(t, db, "SET GLOBAL wait_timeout=28800")
		}
		check(t, conn.Raw(func(any) error { return nil }))
		conn.Close()
		m.SetMaxIdleConns(0)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
}
