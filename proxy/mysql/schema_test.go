package mysql

import (
	"testing"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

func TestWithDefiner(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"CREATE VIEW v AS SELECT 1", "CREATE DEFINER=`a`@`%` VIEW v AS SELECT 1"},
		{"create or replace view v as select 1", "create or replace DEFINER=`a`@`%` view v as select 1"},
		{"CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v AS SELECT 1", "CREATE ALGORITHM=MERGE DEFINER=`a`@`%` SQL SECURITY INVOKER VIEW v AS SELECT 1"},
		{"CREATE PROCEDURE p() SELECT 1", "CREATE DEFINER=`a`@`%` PROCEDURE p() SELECT 1"},
		{"CREATE DEFINER=b@c TRIGGER t BEFORE INSERT ON u FOR EACH ROW SET @a=1", "CREATE DEFINER=b@c TRIGGER t BEFORE INSERT ON u FOR EACH ROW SET @a=1"},
		{"/* who */ CREATE /* what */ FUNCTION f() RETURNS INT RETURN 1", "/* who */ CREATE /* what */ DEFINER=`a`@`%` FUNCTION f() RETURNS INT RETURN 1"},
		{"CREATE DEFINER = CURRENT_USER ( ) PROCEDURE p() SELECT 1", "CREATE DEFINER=`a`@`%` PROCEDURE p() SELECT 1"},
		{"CREATE DEFINER=CURRENT_USER SQL SECURITY DEFINER VIEW v AS SELECT 1", "CREATE DEFINER=`a`@`%` SQL SECURITY DEFINER VIEW v AS SELECT 1"},
		{"/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`%`*/ /*!50003 TRIGGER t BEFORE INSERT ON u FOR EACH ROW SET @a=1 */", "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`%`*/ /*!50003 TRIGGER t BEFORE INSERT ON u FOR EACH ROW SET @a=1 */"},
		{"CREATE OR REPLACE AGGREGATE FUNCTION f(x INT) RETURNS INT BEGIN RETURN 1; END", "CREATE OR REPLACE DEFINER=`a`@`%` AGGREGATE FUNCTION f(x INT) RETURNS INT BEGIN RETURN 1; END"},
		{"ALTER VIEW v AS SELECT 1", "ALTER DEFINER=`a`@`%` VIEW v AS SELECT 1"},
		{"ALTER EVENT e DISABLE", "ALTER DEFINER=`a`@`%` EVENT e DISABLE"},
		{"CREATE EVENT IF NOT EXISTS e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "CREATE DEFINER=`a`@`%` EVENT IF NOT EXISTS e ON SCHEDULE EVERY 1 DAY DO SELECT 1"},
		{"ALTER PROCEDURE p COMMENT 'x'", "ALTER PROCEDURE p COMMENT 'x'"},
		{"CREATE TABLE view_of (a INT)", "CREATE TABLE view_of (a INT)"},
	} {
		what := statement.Classify(tc.text, statement.Dialect{MariaDB: true, Version: 101100})
		if got := withDefiner(tc.text, what.Definer, "a@%"); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.text, got, tc.want)
		}
	}
}

// What is put into texts without quotes is a word.
func TestPreludeOf(t *testing.T) {
	row := []string{"617070", "STRICT_ALL_TABLES", "utf8mb4", "utf8mb4_general_ci", "1", "SYSTEM", "1", "0", "u@%", "latin1_swedish_ci", "1", "InnoDB", "ERROR",
		"UTF8_IS_UTF8MB3", "0", "1", "en_US", "PREFERABLY_FOR_QUERIES", "254", "JSON_HB", "1", "1", "NULL",
		"4", "0", "en_US", "0", "1000000000.500000"}
	texts, user, err := preludeOf(row, false)
	if err != nil || user != "u@%" || len(texts) != 8 {
		t.Errorf("%q, %s, %v", texts, user, err)
	}
	for _, i := range []int{2, 3, 4, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27} {
		forged := append([]string(nil), row...)
		forged[i] = "1, sql_log_bin=0"
		if texts, _, err := preludeOf(forged, false); err == nil {
			t.Errorf("column %d: %q", i, texts)
		}
	}
	for i, as := range map[int]string{1: "STRICT_ALL_TABLES@002cANSI", 5: "@002b03@003a00", 13: "A@002cB"} { // what character_set_results=filename makes of it
		forged := append([]string(nil), row...)
		forged[i] = as
		if texts, _, err := preludeOf(forged, false); err == nil {
			t.Errorf("%s: %q", as, texts)
		}
	}
}

func TestSchemasOf(t *testing.T) {
	for _, tc := range []struct {
		text, current string
		want          []string
	}{
		{"LOCK TABLES x.t READ, `y`.`u` WRITE, v READ", "app", []string{"x", "y", "app"}},
		{"LOCK TABLES a . t READ", "", []string{"a"}},
	} {
		got := schemasOf(tc.text, tc.current)
		for _, name := range tc.want {
			if !got[name] {
				t.Errorf("%s: %v lacks %s", tc.text, got, name)
			}
		}
		if len(got) != len(tc.want) {
			t.Errorf("%s: got %v, want %v", tc.text, got, tc.want)
		}
	}
}

func TestDefiners(t *testing.T) {
	for _, tc := range []struct{ clause, name, host string }{
		{"root@localhost", "root", "localhost"}, {"`a b`@`10.0.%`", "a b", "10.0.%"}, {"'a'@'%'", "a", "%"}, {"a@10.0.0.1", "a", "10.0.0.1"},
		{"a@my-host.net", "a", "my-host.net"}, {"role", "role", ""}, {"a@%", "a", "%"},
	} {
		text := "CREATE DEFINER=" + tc.clause + " PROCEDURE p() SELECT 1"
		what := statement.Classify(text, statement.Dialect{MariaDB: true, Version: 101100})
		d := what.Definer
		if what.Kind != statement.DDL || d == nil || d.Current || d.Name != tc.name || d.Host != tc.host || text[d.Start:d.End] != "DEFINER="+tc.clause {
			t.Errorf("%s: %s, %+v", text, what.Kind, d)
		}
	}
}
