package mysql

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Procedures that fill a table by CREATE TABLE ... SELECT do what they do on a plain server: by variables, with their own rights and conditions, and where others call them.
func TestProceduresFillTables(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE DATABASE other", "CREATE TABLE app.src (id INT PRIMARY KEY, v VARCHAR(20) COMMENT 'it''s', d DECIMAL(8,2) DEFAULT 1.5)", "INSERT INTO app.src VALUES (1,'one',1),(2,'two',2),(3,'three',3)",
			"CREATE TABLE app.log (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))", "CREATE FUNCTION app.notes(x INT) RETURNS INT DETERMINISTIC BEGIN INSERT INTO app.log (what) VALUES (x); RETURN x; END",
			"CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION", "CREATE USER owner@'%'", "GRANT ALL ON app.* TO owner@'%'", "CREATE USER u@'%'", "GRANT EXECUTE, CREATE TEMPORARY TABLES ON app.* TO u@'%'", "GRANT SELECT ON app.src TO u@'%'")
	}
	got, want := sessionsOf(t, leader, alone, "dba", "owner", "u")
	tables := "dba SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema IN ('app','other')"
	sayAllAlike(t, got, want,
		"dba USE app", "owner USE app", "u USE app",
		"dba CREATE PROCEDURE fills(x INT) BEGIN DECLARE y VARCHAR(10) DEFAULT 'why'; CREATE TABLE made AS SELECT id, v, d, x AS x, y, CONCAT(y,x) AS b FROM src WHERE id>=x ORDER BY id LIMIT x; SHOW CREATE TABLE made; SELECT * FROM made; DROP TABLE made; END",
		"dba CALL fills(1)", "dba CALL fills(2)", tables, "u CALL fills(2)", "u CALL fills(3)", "owner CALL fills(9)",
		"dba CREATE PROCEDURE shapes() BEGIN CREATE TABLE s1 (n INT AUTO_INCREMENT PRIMARY KEY, UNIQUE (id), x INT DEFAULT 5) ENGINE=InnoDB COMMENT 'it''s' SELECT id FROM src; CREATE TABLE other.s2 (z INT) AS (SELECT 0 AS z UNION SELECT NULL); CREATE TABLE s3 SELECT 1.5 AS a, 'x' AS `a b`, NOW()>'2020-01-01' AS c, NULL AS d; END",
		"dba CALL shapes()", "dba SHOW CREATE TABLE s1", "dba SELECT * FROM s1", "dba SELECT * FROM other.s2", "dba SHOW CREATE TABLE s3", "dba SELECT * FROM s3", tables, "dba CALL shapes()", tables,
		// What is there already, and what is there again and again.
		"dba CREATE PROCEDURE again(x INT) BEGIN DECLARE i INT DEFAULT 0; WHILE i<x DO CREATE OR REPLACE TABLE r AS SELECT i AS i, COUNT(*) AS n FROM src; SELECT * FROM r; CREATE TABLE IF NOT EXISTS once AS SELECT i AS first; SET i=i+1; END WHILE; SELECT * FROM once; END",
		"dba CALL again(3)", "dba CALL again(1)", "owner CALL again(2)",
		"dba CREATE PROCEDURE handled() BEGIN DECLARE n INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 @e=MYSQL_ERRNO, @s=RETURNED_SQLSTATE; INSERT INTO log (what) VALUES (CONCAT(n, ' ', @e, ' ', @s)); SET n=n+1; END;"+
			" CREATE TABLE src AS SELECT 1; CREATE TABLE h1 AS SELECT (SELECT 1 UNION SELECT 2) AS a; CREATE TABLE h2 (UNIQUE (a)) SELECT 1 AS a UNION ALL SELECT 1; CREATE TABLE nosuch.h3 SELECT 1; CREATE TABLE h4 SELECT nosuch FROM src; CREATE TABLE h5 SELECT 'it''s \\\\' AS q; CREATE TABLE h6 (a TINYINT) SELECT 1000 AS a; SELECT n; END",
		"dba CALL handled()", tables, "dba SELECT what FROM log ORDER BY n", "dba SELECT * FROM h5",
		"dba CREATE PROCEDURE unhandled(x INT) BEGIN INSERT INTO log (what) VALUES ('kept'); IF x=1 THEN CREATE TABLE src AS SELECT 1; ELSEIF x=2 THEN CREATE TABLE h6 (UNIQUE (a)) SELECT 1 AS a UNION ALL SELECT 1; ELSE CREATE TABLE h7 (a INT) SELECT id FROM nosuch; END IF; END",
		"dba DELETE FROM log", "dba CALL unhandled(1)", "dba CALL unhandled(2)", "dba CALL unhandled(3)", "dba SELECT COUNT(*) FROM log", tables,
		"dba CREATE TABLE `o\\\\'dd` (a INT)", "dba CREATE PROCEDURE odd() CREATE TABLE `o\\\\'dd` SELECT 1", "dba CALL odd()",
		// Backslashes, and where they are not all of ASCII.
		`dba CREATE PROCEDURE slashes() BEGIN COMMIT; SELECT 'it''s \\' AS a, 'a\'b' AS b, REPLACE('x\\y\\n', '\\', '/') AS c, '1.5' REGEXP '^\\d\\.\\d$' AS d, "q\"\t" AS e; CREATE TABLE sl AS SELECT '\\' AS s; END`, "dba CALL slashes()", "u CALL slashes()", "dba SELECT * FROM sl",
		"dba SET NAMES latin1", "dba CREATE PROCEDURE umlauts() BEGIN COMMIT; SELECT 'gr\xf6\xdfe \\\\ x' AS a, HEX('\xfc') AS b; END", "dba SET NAMES utf8mb4", "dba CALL umlauts()",
		// Transactions and functions that write.
		"dba DELETE FROM log", "dba BEGIN", "dba INSERT INTO log (what) VALUES ('open')", "dba CALL fills(1)", "dba ROLLBACK", "dba SELECT what FROM log",
		"dba CREATE PROCEDURE writes() BEGIN START TRANSACTION; CREATE TABLE w1 AS SELECT notes(id) AS n FROM src; ROLLBACK; INSERT INTO log (what) VALUES ('behind'); END", "dba CALL writes()", "dba SELECT what FROM log ORDER BY n", "dba SELECT * FROM w1",
		"dba SET autocommit=0", "dba CALL fills(2)", "dba ROLLBACK", "dba SET autocommit=1",
		// Who calls, and may.
		"dba CREATE PROCEDURE outer_() BEGIN CALL fills(2); CALL fills(1); COMMIT; END", "dba CALL outer_()", "u CALL outer_()",
		"dba CREATE PROCEDURE invoked() SQL SECURITY INVOKER CREATE TABLE mine AS SELECT * FROM src", "owner CALL invoked()", "dba SELECT COUNT(*) FROM mine",
		"owner CREATE PROCEDURE owns() CREATE TABLE owned AS SELECT CURRENT_USER() AS u", "u CALL owns()", "dba SELECT * FROM owned", "owner CREATE PROCEDURE reads() CREATE TABLE secrets AS SELECT * FROM mysql.global_priv", "owner CALL reads()", "u CALL reads()", tables,
		// Modes and character sets.
		"dba SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", `dba CREATE PROCEDURE modes() BEGIN CREATE TABLE "m""1" ("größe" VARCHAR(9) DEFAULT 'a\') AS SELECT 'ü' AS "größe", 1/0 AS z; SHOW CREATE TABLE "m""1"; SELECT * FROM "m""1"; END`, "dba SET sql_mode=DEFAULT", "dba SET NAMES latin1", "dba CALL modes()", "dba SET NAMES utf8mb4",
		"dba SET sql_mode='STRICT_ALL_TABLES'", "dba CREATE PROCEDURE strict() CREATE TABLE st AS SELECT CAST('x' AS SIGNED) AS n", "dba SET sql_mode=DEFAULT", "dba CALL strict()", "dba SELECT * FROM st", "dba SET sql_quote_show_create=0", "dba CALL fills(1)", "dba SET sql_quote_show_create=1", "dba SET sql_select_limit=1", "dba CALL fills(1)", "dba SET sql_select_limit=DEFAULT",
		"dba SELECT @@sql_mode, DATABASE(), @@in_transaction",
	)
	// A prepared CALL.
	for _, text := range []string{"CALL fills(?)", "CALL again(?)"} {
		if wanted, is := showAll(t.Context(), want["u"], text, []any{2}), showAll(t.Context(), got["u"], text, []any{2}); wanted != is {
			t.Errorf("%s\nwant %s\n got %s", text, wanted, is)
		}
	}
	ctx := within(t, 60*time.Second)
	for _, text := range []string{"CREATE TABLE g (b INT AS (a+1) STORED) SELECT 1 AS a", "CREATE TABLE g (b INT INVISIBLE) SELECT 1 AS a"} {
		execute(t, db, "CREATE OR REPLACE PROCEDURE app.refused_() "+text)
		if _, err := db.ExecContext(ctx, "CALL app.refused_()"); code(err) != 1235 {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(table_name) FROM information_schema.tables WHERE table_name LIKE 'nexus\\_sel%' OR table_name='g'"); got != "" {
		t.Errorf("left: %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

// A table that cannot be filled is gone, and what the procedure has done before is not. This one takes its rows as the temporary table that it would be elsewhere.
func TestProcedureThatFillsNoTable(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	var columns, values []string
	for i := range 40 {
		columns, values = append(columns, fmt.Sprintf("c%d CHAR(255)", i)), append(values, fmt.Sprintf("REPEAT('x', 255) AS c%d", i))
	}
	wide := "CREATE TABLE wide (" + strings.Join(columns, ", ") + ") CHARSET latin1 SELECT " + strings.Join(values, ", ")
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.log (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
		"CREATE PROCEDURE app.fails() BEGIN INSERT INTO log (what) VALUES ('before'); "+wide+"; INSERT INTO log (what) VALUES ('never'); END",
		"CREATE PROCEDURE app.handles() BEGIN DECLARE CONTINUE HANDLER FOR 1030 INSERT INTO log (what) VALUES ('handled'); CALL fails(); "+wide+"; INSERT INTO log (what) VALUES ('behind'); EXECUTE IMMEDIATE "+literal(wide)+"; END")
	conn := oneConn(t, db)
	ctx := within(t, 60*time.Second)
	if _, err := conn.ExecContext(ctx, "SET default_storage_engine=MyISAM"); err != nil {
		t.Fatal(err)
	}
	for procedure, want := range map[string]string{"fails": "before", "handles": "before,handled,handled,behind,handled"} {
		if _, err := conn.ExecContext(ctx, "CALL app."+procedure+"()"); procedure == "fails" && code(err) != 1030 || procedure != "fails" && err != nil {
			t.Errorf("%s: %v", procedure, err)
		}
		if got := mustQuery(t, conn, "SELECT GROUP_CONCAT(what ORDER BY n) FROM app.log"); got != want {
			t.Errorf("%s: %s, want %s", procedure, got, want)
		}
		if got := mustQuery(t, conn, "SELECT GROUP_CONCAT(table_name) FROM information_schema.tables WHERE table_schema='app'"); got != "log" {
			t.Errorf("%s: there are %s", procedure, got)
		}
		execute(t, db, "DELETE FROM app.log")
	}
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
