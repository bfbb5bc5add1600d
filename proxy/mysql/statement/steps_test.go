package statement

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestReadProgram(t *testing.T) {
	for _, tc := range []struct{ body, want, reason string }{
		{"SELECT 1", "SELECT 1", ""},
		{"ALTER TABLE t ADD a INT", "<ddl>", ""},
		{"BEGIN START TRANSACTION; INSERT INTO t VALUES (1); COMMIT; END", "BEGIN <begin>; INSERT INTO t VALUES (1); <commit>; END", ""},
		{"BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND, 1050, SQLSTATE VALUE '42S01', c ROLLBACK; DECLARE CONTINUE HANDLER FOR 1 BEGIN COMMIT; END; END",
			"BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND, 1050, SQLSTATE VALUE '42S01', c <rollback>; DECLARE CONTINUE HANDLER FOR 1 BEGIN <commit>; END; END", ""},
		{"IF a THEN CREATE TABLE t (a INT, b TEXT DEFAULT ';'); ELSEIF b THEN DROP TABLE t; ELSE TRUNCATE t; END IF",
			"IF a THEN <ddl>; ELSEIF b THEN <ddl>; ELSE <ddl>; END IF", ""},
		{"x: LOOP y: WHILE a DO GRANT SELECT ON t TO u; LEAVE x; END WHILE; END LOOP", "x: LOOP y: WHILE a DO <ddl>; LEAVE x; END WHILE; END LOOP", ""},
		{"REPEAT RENAME TABLE a TO b; UNTIL 1 END REPEAT", "REPEAT <ddl>; UNTIL 1 END REPEAT", ""},
		{"BEGIN SELECT CASE a WHEN 1 THEN TRUNCATE(b, 2) ELSE REPEAT('a', 3) END; /* COMMIT; */ SET @a='; COMMIT;'; -- ; COMMIT\nEND",
			"BEGIN SELECT CASE a WHEN 1 THEN TRUNCATE(b, 2) ELSE REPEAT('a', 3) END; /* COMMIT; */ SET @a='; COMMIT;'; -- ; COMMIT\nEND", ""},
		{"BEGIN CREATE TEMPORARY TABLE t (a INT); SAVEPOINT a; ROLLBACK TO a; DROP TEMPORARY TABLE t; END",
			"BEGIN CREATE TEMPORARY TABLE t (a INT); SAVEPOINT a; ROLLBACK TO a; DROP TEMPORARY TABLE t; END", ""},
		{"BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS T (a INT); DROP TABLE t; END",
			"BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS T (a INT); <ddl>; END", ""},
		{"BEGIN COMMIT AND CHAIN; END", "BEGIN <commit>; END", "COMMIT says more than that"},
		{"BEGIN COMMIT; CALL p(); END", "BEGIN <commit>; <write>; END", ""},
		{"IF a THEN CALL x.p(1, (SELECT 2)) /* c */; ELSE CALL q -- d\n; END IF", "IF a THEN <write> /* c */; ELSE <write> -- d\n; END IF", ""},
		{"BEGIN DECLARE EXIT HANDLER FOR NOT FOUND CALL p(@a); CALL p(a.b, c); END", "BEGIN DECLARE EXIT HANDLER FOR NOT FOUND <write>; <write>; END", ""},
		{"BEGIN /*!CALL p(1)*/; CALL p(/*!1*/); CALL a.b.c(); COMMIT; END", "BEGIN /*!CALL p(1)*/; CALL p(/*!1*/); CALL a.b.c(); <commit>; END", ""},
		{"BEGIN COMMIT; SET STATEMENT max_statement_time=1 FOR CALL p(); END", "BEGIN <commit>; SET STATEMENT max_statement_time=1 FOR CALL p(); END", "CALL stands in it"},
		{"BEGIN PREPARE s FROM @a; EXECUTE s USING @b; DEALLOCATE PREPARE s; DROP PREPARE s; END", "BEGIN <prepare>; <execute>; DEALLOCATE PREPARE s; DROP PREPARE s; END", ""},
		{"IF a THEN EXECUTE IMMEDIATE CONCAT('x', (b)) USING c; END IF", "IF a THEN <execute>; END IF", ""},
		{"BEGIN SET STATEMENT max_statement_time=1 FOR EXECUTE s; END", "BEGIN SET STATEMENT max_statement_time=1 FOR EXECUTE s; END", "EXECUTE stands in it"},
		{"BEGIN SET @a=1, autocommit=0; END", "BEGIN SET @a=1, autocommit=0; END", "it sets autocommit"},
		{"BEGIN CREATE TABLE t AS SELECT 1; END", "BEGIN <create select>; END", ""},
		{"BEGIN CREATE TABLE t (a INT) ENGINE=MERGE; END", "BEGIN <refused>; END", "CREATE TABLE stands in it"},
	} {
		p, reason := ReadProgram(tc.body, mariadb)
		if got := p.Replaced(func(_ int, s *Step) string { return "<" + s.What.Kind.String() + ">" }); got != tc.want || reason != tc.reason {
			t.Errorf("%s\n got %s, %q\nwant %s, %q", tc.body, got, reason, tc.want, tc.reason)
		}
	}
}

func TestReadBlock(t *testing.T) {
	for text, want := range map[string]string{
		"BEGIN NOT ATOMIC COMMIT; END": "BEGIN COMMIT; END", "BEGIN /* a */ NOT ATOMIC COMMIT; END; ;": "BEGIN COMMIT; END", "x: BEGIN NOT ATOMIC COMMIT; END x": "no", "IF 1 THEN COMMIT; END IF -- why\n": "IF 1 THEN COMMIT; END IF -- why\n",
		"FOR i IN 1..2 DO EXECUTE IMMEDIATE 'SELECT 1'; END FOR;": "FOR i IN 1..2 DO EXECUTE IMMEDIATE 'SELECT 1'; END FOR", "l: LOOP LEAVE l; END LOOP": "no",
		"BEGIN": "no", "BEGIN; SELECT 1": "no", "BEGIN NOT ATOMIC COMMIT; END; SELECT 1": "no", "BEGIN NOT ATOMIC SET NAMES gbk; END": "no", "BEGIN NOT ATOMIC XA COMMIT 'x'; END": "no", "SELECT 1": "no", "CALL p()": "no",
		"BEGIN NOT ATOMIC SET GLOBAL x=1; END": "no", "/*! BEGIN NOT ATOMIC COMMIT; END */": "no", "BEGIN /*! NOT ATOMIC */ COMMIT; END": "no", "BEGIN NOT ATOMIC SELECT 'x; END": "no", "SET STATEMENT max_statement_time=1 FOR BEGIN NOT ATOMIC COMMIT; END": "no", "CREATE PROCEDURE p() BEGIN COMMIT; END": "no",
	} {
		got := "no"
		if _, body, ok := ReadBlock(text, mariadb); ok {
			got = body
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestIsPlain(t *testing.T) {
	for text, want := range map[string]bool{
		"1": true, "-1.5": true, "'a'": true, "@a": true, "NULL": true, "": false, "f(1)": false, "1+1": false, "@@sql_mode": false, `"a"`: false, `'\n'`: false, "'é'": false, "(1)": false,
	} {
		if got := IsPlain(text, mariadb); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestReadCall(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"CALL p", "[] p []"}, {"call p()", "[] p []"}, {"CALL `a b`.`p``q` ( )", "[a b] p`q []"},
		{"CALL p(1, 'a,)b', f(x, (y)), @z)", "[] p [1|'a,)b'|f(x, (y))|@z]"}, {"CALL p(/* no */);", "[] p []"},
		{"CALL p(1", "no"}, {"CALL p() x", "no"}, {"CALL a.b.c()", "no"}, {"SELECT 1", "no"}, {"CALL p(1,)", "[] p [1|]"},
	} {
		got := "no"
		if c, ok := ReadCall(tc.text, mariadb); ok {
			got = fmt.Sprintf("[%s] %s [%s]", c.Database, c.Name, strings.Join(c.Arguments, "|"))
			renamed, ok := ReadCall(c.Renamed(tc.text, "`x y`"), mariadb)
			if c.Name = "x y"; !ok || renamed.Database != c.Database || renamed.Name != c.Name || !slices.Equal(renamed.Arguments, c.Arguments) {
				t.Errorf("%s: renamed to %s", tc.text, c.Renamed(tc.text, "`x y`"))
			}
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.text, got, tc.want)
		}
	}
	for text, want := range map[string]bool{"@a": true, "@`a b`": true, "@a + 1": false, "a": false, "@@a": false, "": false} {
		if got := IsUserVariable(text, mariadb); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}
