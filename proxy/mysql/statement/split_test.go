package statement

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" ; ; ", nil},
		{"SELECT 1", []string{"SELECT 1"}},
		{"SELECT 1;", []string{"SELECT 1"}},
		{"SELECT 1; SELECT 2", []string{"SELECT 1", " SELECT 2"}},
		{"SELECT ';'; SELECT `;`", []string{"SELECT ';'", " SELECT `;`"}},
		{"SELECT 1 -- ; x\n; SELECT 2", []string{"SELECT 1 -- ; x\n", " SELECT 2"}},
		{"SELECT 1 /* ; */; # ;\n SELECT 2", []string{"SELECT 1 /* ; */", " # ;\n SELECT 2"}},
		{"SELECT 1 /*! ; */; SELECT 2", []string{"SELECT 1 /*! ; */", " SELECT 2"}},
		{"SELECT 'a\\'; b'; SELECT 2", []string{"SELECT 'a\\'; b'", " SELECT 2"}},
		{"SELECT 1; SELECT 'no end; x", []string{"SELECT 1", " SELECT 'no end; x"}},
		{"SELECT 1; CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END; SELECT 3",
			[]string{"SELECT 1", " CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END", " SELECT 3"}},
		{"CREATE PROCEDURE p() SELECT 1; CALL p()", []string{"CREATE PROCEDURE p() SELECT 1", " CALL p()"}},
		{"CREATE PROCEDURE IF NOT EXISTS p() DROP TABLE IF EXISTS t; CALL p()", []string{"CREATE PROCEDURE IF NOT EXISTS p() DROP TABLE IF EXISTS t", " CALL p()"}},
		{"CREATE OR REPLACE DEFINER=a@b TRIGGER g BEFORE INSERT ON t FOR EACH ROW IF (NEW.a) THEN SET NEW.b=IF(1,2,3); END IF; SELECT 1",
			[]string{"CREATE OR REPLACE DEFINER=a@b TRIGGER g BEFORE INSERT ON t FOR EACH ROW IF (NEW.a) THEN SET NEW.b=IF(1,2,3); END IF", " SELECT 1"}},
		{"CREATE FUNCTION f() RETURNS INT BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET @a=1; END; IF a THEN RETURN CASE WHEN 1 THEN IF(1,2,3) ELSE REPEAT('a',2) END; " +
			"ELSEIF NOT b THEN x: LOOP LEAVE x; END LOOP x; ELSE CASE a WHEN 1 THEN IF (b) THEN SET c=1; END IF; END CASE; END IF; REPEAT SET i=1; UNTIL i END REPEAT; " +
			"WHILE a DO SET a=0; END WHILE; FOR i IN 1..3 DO SET a=i; END FOR; SELECT 1 FOR UPDATE; RETURN 1; END; DROP FUNCTION f",
			[]string{"CREATE FUNCTION f() RETURNS INT BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET @a=1; END; IF a THEN RETURN CASE WHEN 1 THEN IF(1,2,3) ELSE REPEAT('a',2) END; " +
				"ELSEIF NOT b THEN x: LOOP LEAVE x; END LOOP x; ELSE CASE a WHEN 1 THEN IF (b) THEN SET c=1; END IF; END CASE; END IF; REPEAT SET i=1; UNTIL i END REPEAT; " +
				"WHILE a DO SET a=0; END WHILE; FOR i IN 1..3 DO SET a=i; END FOR; SELECT 1 FOR UPDATE; RETURN 1; END", " DROP FUNCTION f"}},
		{"SET STATEMENT sql_mode='' FOR CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 2", []string{"SET STATEMENT sql_mode='' FOR CREATE PROCEDURE p() BEGIN SELECT 1; END", " SELECT 2"}},
		{"CREATE PROCEDURE p() /*!50003 BEGIN SELECT 1; END */; SELECT 2", []string{"CREATE PROCEDURE p() /*!50003 BEGIN SELECT 1; END */", " SELECT 2"}},
		{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM t; END; SELECT 2", []string{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM t; END", " SELECT 2"}},
		{"CREATE PROCEDURE p() BEGIN NOT ATOMIC IF (SELECT 2) THEN SELECT 4; END IF; END; SELECT 2",
			[]string{"CREATE PROCEDURE p() BEGIN NOT ATOMIC IF (SELECT 2) THEN SELECT 4; END IF; END", " SELECT 2"}},
		{"CREATE PROCEDURE p() FOR i IN 1..10 DO INSERT INTO t VALUES (i); END FOR; SELECT 2", []string{"CREATE PROCEDURE p() FOR i IN 1..10 DO INSERT INTO t VALUES (i); END FOR", " SELECT 2"}},
		{"CREATE FUNCTION f() RETURNS INT FOR i IN 1..10 DO RETURN 1; END FOR; SELECT 2", []string{"CREATE FUNCTION f() RETURNS INT FOR i IN 1..10 DO RETURN 1; END FOR", " SELECT 2"}},
		{"CREATE FUNCTION f(a INT) RETURNS VARCHAR(9) CHARACTER SET utf8 DETERMINISTIC IF (a) THEN RETURN 'x'; ELSE RETURN IF(1,2,3); END IF; SELECT 2",
			[]string{"CREATE FUNCTION f(a INT) RETURNS VARCHAR(9) CHARACTER SET utf8 DETERMINISTIC IF (a) THEN RETURN 'x'; ELSE RETURN IF(1,2,3); END IF", " SELECT 2"}},
		{"CREATE FUNCTION f() RETURNS INT RETURN IF(1,2,3); SELECT 1 FOR UPDATE", []string{"CREATE FUNCTION f() RETURNS INT RETURN IF(1,2,3)", " SELECT 1 FOR UPDATE"}},
		{"CREATE FUNCTION f() RETURNS CHAR(3) RETURN SUBSTRING('abc' FROM 1 FOR 2); SELECT 2", []string{"CREATE FUNCTION f() RETURNS CHAR(3) RETURN SUBSTRING('abc' FROM 1 FOR 2)", " SELECT 2"}},
		{"CREATE PROCEDURE p(a INT) SQL SECURITY INVOKER FOR r IN (SELECT 1 AS a) DO SELECT r.a; END FOR; SELECT 2",
			[]string{"CREATE PROCEDURE p(a INT) SQL SECURITY INVOKER FOR r IN (SELECT 1 AS a) DO SELECT r.a; END FOR", " SELECT 2"}},
		{"CREATE PROCEDURE p() COMMENT 'x' IF (1) THEN SELECT 1; END IF; SELECT 2", []string{"CREATE PROCEDURE p() COMMENT 'x' IF (1) THEN SELECT 1; END IF", " SELECT 2"}},
		{"CREATE PROCEDURE p() SELECT (1) FOR UPDATE; SELECT 2", []string{"CREATE PROCEDURE p() SELECT (1) FOR UPDATE", " SELECT 2"}},
		{"CREATE PROCEDURE p() SELECT IF(1,2,3), IF (4,5,6) FROM t WHERE 'a'=REPEAT('a',1); SELECT 2", []string{"CREATE PROCEDURE p() SELECT IF(1,2,3), IF (4,5,6) FROM t WHERE 'a'=REPEAT('a',1)", " SELECT 2"}},
		{"CREATE PACKAGE k AS PROCEDURE p(); END; SELECT 1", []string{"CREATE PACKAGE k AS PROCEDURE p(); END; SELECT 1"}},
		{"CREATE TABLE trigger_log (a INT); SELECT 1", []string{"CREATE TABLE trigger_log (a INT)", " SELECT 1"}},
		{"BEGIN; DELETE FROM t; COMMIT", []string{"BEGIN", " DELETE FROM t", " COMMIT"}},
		{"BEGIN NOT ATOMIC SELECT 1; END", []string{"BEGIN NOT ATOMIC SELECT 1; END"}},
		{"BEGIN NOT ATOMIC SELECT 1; END; IF 1 THEN SELECT 2; END IF; SELECT 3", []string{"BEGIN NOT ATOMIC SELECT 1; END", " IF 1 THEN SELECT 2; END IF", " SELECT 3"}},
	} {
		if got := Split(c.text, mariadb); !slices.Equal(got, c.want) {
			t.Errorf("%q\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

// In the mode ORACLE declarations stand before BEGIN, and blocks are statements.
func TestSplitOracle(t *testing.T) {
	oracle := mariadb
	oracle.Oracle = true
	for _, parts := range [][]string{
		{"BEGIN INSERT INTO t VALUES (1); NULL; END", " SELECT 1"},
		{"DECLARE a INT; CURSOR c IS SELECT 1 AS x FROM DUAL; BEGIN OPEN c; FOR r IN c LOOP NULL; END LOOP; END", " SELECT 1"},
		{"<<l>> DECLARE a INT := 1; BEGIN IF a > 0 THEN NULL; ELSIF a < 0 THEN NULL; END IF; EXCEPTION WHEN NO_DATA_FOUND THEN NULL; END", " SELECT 1"},
		{"BEGIN DECLARE a INT; BEGIN NULL; END; <<w>> WHILE a > 0 LOOP EXIT w; END LOOP; END", " SELECT 1"},
		{"CREATE PROCEDURE p(a INT) AS b INT := 5; BEGIN SELECT CAST(a AS CHAR) INTO b FROM DUAL; END", " SELECT 1"},
		{"CREATE PROCEDURE p AS d CONDITION FOR SQLSTATE '23000'; v INT; CONTINUE HANDLER FOR d BEGIN v := 1; END; EXIT HANDLER FOR NOT FOUND v := 2; BEGIN v := 3; END", " SELECT 1"},
		{"CREATE OR REPLACE FUNCTION f RETURN INT IS BEGIN RETURN 1; END f", " SELECT 1"},
		{"CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW DECLARE a INT; BEGIN :NEW.a := 1; END", " SELECT 1"},
		{"CREATE TABLE t AS SELECT 1 AS a", " SELECT a AS b FROM t"},
		{"CREATE VIEW v AS SELECT 1 AS a", " SELECT a AS b FROM v"},
	} {
		if got := Split(strings.Join(parts, ";"), oracle); !slices.Equal(got, parts) {
			t.Errorf("%q is %q", parts, got)
		}
	}
}

// The words of a text depend on the session's sql_mode and on the server.
func TestDialect(t *testing.T) {
	for _, c := range []struct {
		name, text string
		dialect    Dialect
		want       Kind
	}{
		{"a backslash does not escape", `SELECT 'a\' FOR UPDATE`, Dialect{MariaDB: true, NoBackslashEscapes: true}, LockingRead},
		{"a backslash escapes", `SELECT 'a\' FOR UPDATE'`, mariadb, Read},
		{"a string in double quotes", `SELECT "a\" FOR UPDATE"`, mariadb, Read},
		{"an identifier in double quotes", `SELECT "a\" FOR UPDATE`, Dialect{MariaDB: true, AnsiQuotes: true}, LockingRead},
		{"a block", "BEGIN SELECT 1; END", Dialect{MariaDB: true, Oracle: true}, Write},
		{"a block with declarations", "DECLARE a INT; BEGIN SELECT a; END;", Dialect{MariaDB: true, Oracle: true}, Write},
		{"a block with a label", "<<x>> BEGIN NULL; END", Dialect{MariaDB: true, Oracle: true}, Write},
		{"no block", "BEGIN", Dialect{MariaDB: true, Oracle: true}, Write},
		{"a block that changes how texts are read", "BEGIN character_set_client := 'sjis'; END", Dialect{MariaDB: true, Oracle: true}, Refused},
		{"a block that writes beside the log", "DECLARE a INT; BEGIN sql_log_bin := 0; END", Dialect{MariaDB: true, Oracle: true}, Refused},
		{"a block that sets a global variable", "BEGIN SET GLOBAL wait_timeout=5; END", Dialect{MariaDB: true, Oracle: true}, Refused},
		{"a block of the mode ORACLE in another one", "DECLARE a INT; BEGIN SELECT a; END;", mariadb, Refused},
		{"MySQL does not know /*M!", `SELECT 1 /*M! FOR UPDATE */`, Dialect{Version: 80036}, Read},
		{"MySQL executes /*!50700", `SELECT 1 /*!50700 FOR UPDATE */`, Dialect{Version: 80036}, LockingRead},
		{"MySQL does not execute /*!80040", `SELECT 1 /*!80040 FOR UPDATE */`, Dialect{Version: 80036}, Read},
	} {
		if got := Classify(c.text, c.dialect); got.Kind != c.want {
			t.Errorf("%s: %s is %v, want %v", c.name, c.text, got.Kind, c.want)
		}
	}
}

func TestAssignmentBool(t *testing.T) {
	for value, want := range map[string]bool{"1": true, "on": true, "'ON'": true, "TRUE": true, "0": false, "off": false, "False": false} {
		if got, ok := (&Assignment{Value: value}).Bool(); !ok || got != want {
			t.Errorf("%s is %v, %v", value, got, ok)
		}
	}
	for _, value := range []string{"@a", "(SELECT 1)", "2", "DEFAULT", ""} {
		if _, ok := (&Assignment{Value: value}).Bool(); ok {
			t.Errorf("%s counts as a literal", value)
		}
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`a`: `a`, `'a'`: `a`, `"a"`: `a`, "`a`": `a`, `'it''s'`: `it's`, `'a\'b'`: `a'b`, "`a``b`": "a`b", `'a\nb'`: "a\nb",
		"`a\\nb`": `a\nb`, `'`: `'`, `''`: ``, `'a\\'`: `a\`, `'\Z\0'`: "\x1a\x00",
	} {
		if got := unquote(in); got != want {
			t.Errorf("%s is %q, want %q", in, got, want)
		}
	}
}

func isProgram(text string, d Dialect) bool {
	program, _ := definesProgram(text, d)
	return program
}

// FuzzClassify looks for texts that panic, that never end, and whose parts are more than one statement each.
func FuzzClassify(f *testing.F) {
	for _, g := range []string{
		"SELECT 1; SELECT 2", "/*!40101 SET a=1*/;", "CREATE DEFINER=a@b PROCEDURE p() BEGIN END", "SET @@session.a=1,b=2",
		"INSERT INTO t VALUES ('a\\'b')", "SET STATEMENT a=1 FOR SELECT 1", "/*", "'", "`", "@", "@@", "@`", "1e", "..", "-- ", "<<x>> DECLARE a INT; BEGIN NULL; END; SELECT 1",
	} {
		f.Add(g, false, false, false)
	}
	f.Fuzz(func(t *testing.T, text string, noBackslash, ansi, oracle bool) {
		d := Dialect{MariaDB: true, Version: 101119, NoBackslashEscapes: noBackslash, AnsiQuotes: ansi, Oracle: oracle}
		Classify(text, d)
		length := 0
		for _, part := range Split(text, d) {
			length += len(part)
			if s := Classify(part, d); strings.Contains(s.Reason, "more than one statement") && !isProgram(part, d) {
				t.Errorf("%q is a part of %q and more than one statement", part, text)
			}
		}
		if length > len(text) {
			t.Errorf("the parts of %q are longer than it", text)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	for name, text := range map[string]string{
		"select": "SELECT c FROM sbtest1 WHERE id=4994",
		"insert": "INSERT INTO sbtest1 (id, k, c, pad) VALUES (0, 5023, '" + strings.Repeat("x", 120) + "', '" + strings.Repeat("y", 60) + "')",
		"set":    "SET NAMES utf8mb4, autocommit = 1",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Classify(text, mariadb)
			}
		})
	}
}
