package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Whatever a table is called, and however the words are written, its rows are numbered on the leader alone, or not at all.
func TestUnorderedRowsInOtherWords(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE DATABASE `o.p`", "CREATE TABLE app.`é` (a INT PRIMARY KEY)")
	first, second := oneConn(t, open(t, leader)), oneConn(t, open(t, leader))
	exec(t, first, "USE app")
	for _, tc := range []struct{ table, before, text string }{
		{"app.n0", "", "ALTER TABLE app.n0 ADD id INT /*!50000AUTO_INCREMENT*/ PRIMARY KEY"},
		{"app.n1", "", "/*!50000ALTER TABLE app.n1 ADD id INT AUTO_INCREMENT PRIMARY KEY*/"},
		{"app.n2", "", "/*!50000ALTER TABLE app.n2 ADD x DOUBLE DEFAULT (RAND())*/"},
		{"app.`n.3`", "", "ALTER TABLE app.`n.3` ADD id INT AUTO_INCREMENT PRIMARY KEY"},
		{"app.n4", "SET sql_mode=ANSI_QUOTES", `ALTER TABLE app."n4" ADD id INT AUTO_INCREMENT PRIMARY KEY`},
		{"app.n5", "", "ALTER TABLE .n5 ADD id INT AUTO_INCREMENT PRIMARY KEY"},
		{"app.n6", "", "ALTER TABLE app./*.*/n6 ADD id INT AUTO_INCREMENT PRIMARY KEY"},
		{"`o.p`.n7", "USE `o.p`", "ALTER TABLE n7 ADD id INT AUTO_INCREMENT PRIMARY KEY"},
		{"app.`Ã©`", "SET NAMES latin1", "ALTER TABLE app.`\xc3\xa9` ADD id INT AUTO_INCREMENT PRIMARY KEY"},
		{"app.n9", "SET sql_mode='NO_BACKSLASH_ESCAPES';; CREATE PROCEDURE app.p() BEGIN ALTER TABLE n9 COMMENT '\\', ADD id INT AUTO_INCREMENT PRIMARY KEY COMMENT ''; END;; SET sql_mode=DEFAULT", "CALL app.p()"},
		{"app.n10", "SET sql_mode=ANSI_QUOTES;; CREATE PROCEDURE app.q() BEGIN ALTER TABLE \"n10\" ADD id INT AUTO_INCREMENT PRIMARY KEY; END;; SET sql_mode=DEFAULT", "CALL app.q()"},
		{"app.n11", `PREPARE p FROM 'ALTER TABLE app.n11 COMMENT ''\\'', ADD x DOUBLE DEFAULT (RAND()) -- ''';; SET sql_mode='NO_BACKSLASH_ESCAPES'`, "EXECUTE p"},
	} {
		execute(t, db, "CREATE TABLE "+tc.table+" (a INT)")
		exec(t, first, "BEGIN", "INSERT INTO "+tc.table+" (a) VALUES (1)")
		exec(t, second, "BEGIN", "INSERT INTO "+tc.table+" (a) VALUES (2)", "COMMIT")
		exec(t, first, "COMMIT")
		if tc.before != "" {
			exec(t, first, strings.Split(tc.before, ";; ")...)
		}
		if _, err := first.ExecContext(within(t, 40*time.Second), tc.text); err != nil && code(err) != 1235 {
			t.Errorf("%s: %v", tc.text, err)
		}
		exec(t, first, "SET sql_mode=DEFAULT, NAMES utf8mb4", "USE app")
	}
	execute(t, db, "CREATE TABLE app.past (a INT) WITH SYSTEM VERSIONING", "INSERT INTO app.past VALUES (1)", "DELETE FROM app.past")
	for _, text := range []string{"SET SESSION system_versioning_alter_history=KEEP", "ALTER TABLE app.past ADD x DOUBLE DEFAULT (RAND())"} {
		if _, err := first.ExecContext(within(t, 40*time.Second), text); err != nil && code(err) != 1235 {
			t.Errorf("%s: %v", text, err)
		}
	}
	awaitEqual(t, c)
	awaitSame(t, c, "SELECT * FROM app.past FOR SYSTEM_TIME ALL")
}

// A table that is filled anew has what ALTER TABLE makes of it on a server without Nexus; or else the change is refused.
func TestRenumberedAsAPlainServerDoes(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, native := oneConn(t, open(t, leader)), oneConn(t, startAlone(t))
	ctx := context.Background()
	for _, conn := range []*struct{ q queryer }{{db}, {native}} {
		for _, text := range []string{"CREATE DATABASE app", "USE app"} {
			if _, err := query(within(t, 40*time.Second), conn.q, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	partitioned := "CREATE TABLE t (a INT) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (5), PARTITION p1 VALUES LESS THAN (10))"
	for _, tc := range []struct {
		make, change string
		refused      bool
	}{
		{"CREATE TABLE t (a INT, b INT); INSERT INTO t VALUES (1,2),(3,4)", "ALTER TABLE t CHANGE a b INT, CHANGE b a INT, ADD id INT AUTO_INCREMENT PRIMARY KEY", true},
		{"CREATE TABLE t (a INT, v INT); INSERT INTO t VALUES (1,2),(3,4)", "ALTER TABLE t DROP v, ADD v INT DEFAULT 5, ADD id INT AUTO_INCREMENT PRIMARY KEY", true},
		{"CREATE TABLE t (a INT); INSERT INTO t VALUES (1),(3)", "ALTER TABLE t CHANGE a c INT, ADD a INT DEFAULT 9, ADD id INT AUTO_INCREMENT PRIMARY KEY", true},
		{partitioned + "; INSERT INTO t VALUES (1),(6)", "ALTER IGNORE TABLE t TRUNCATE PARTITION p0", true},
		{partitioned + "; INSERT INTO t VALUES (1),(6)", "ALTER IGNORE TABLE t DROP PARTITION p0", true},
		{partitioned + "; INSERT INTO t VALUES (1),(6); INSERT INTO ex VALUES (2)", "ALTER IGNORE TABLE t EXCHANGE PARTITION p0 WITH TABLE ex", true},
		{"CREATE TABLE t (a INT, g INT AS (a+1) STORED); INSERT INTO t (a) VALUES (1),(3)", "ALTER TABLE t MODIFY g INT, ADD id INT AUTO_INCREMENT PRIMARY KEY", false},
		{"CREATE TABLE t (id INT AUTO_INCREMENT, a INT, KEY (id)); INSERT INTO t VALUES (5,1),(7,2); UPDATE t SET id=0 WHERE a=2", "ALTER IGNORE TABLE t ADD UNIQUE (a)", false},
		{"CREATE TABLE t (id INT, a INT); INSERT INTO t VALUES (5,1),(0,2),(NULL,3)", "ALTER TABLE t MODIFY id INT AUTO_INCREMENT PRIMARY KEY", false},
		{"CREATE TABLE t (a INT, KEY (a)); INSERT INTO t VALUES (5),(3),(4),(1)", "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY", false},
		{"CREATE TABLE t (a INT); INSERT INTO t VALUES (5),(3),(4),(1)", "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY, ORDER BY a", false},
		{"CREATE TABLE t (a INT, d INT INVISIBLE DEFAULT 4); INSERT INTO t (a,d) VALUES (5,1),(3,2)", "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY, AUTO_INCREMENT=100", false},
		{"CREATE TABLE t (a INT, g INT AS (a+1) VIRTUAL, KEY (g), CHECK (a<90)) COMMENT='x'; INSERT INTO t (a) VALUES (5),(3)", "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY FIRST", false},
		{"CREATE TABLE t (id INT AUTO_INCREMENT, a INT, KEY (id)) AUTO_INCREMENT=1000; INSERT INTO t VALUES (5,1),(7,1)", "ALTER IGNORE TABLE t ADD UNIQUE (a); INSERT INTO t (a) VALUES (4)", false},
	} {
		var held [2]string
		for i, conn := range []queryer{db, native} {
			for _, text := range append([]string{"DROP TABLE IF EXISTS t, ex", "CREATE TABLE ex (a INT)"}, strings.Split(tc.make, "; ")...) {
				if _, err := query(within(t, 40*time.Second), conn, text); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
			}
			for _, text := range append(strings.Split(tc.change, "; "), "SELECT * FROM t ORDER BY 1", "SHOW COLUMNS FROM t", "SELECT * FROM ex", "SHOW TABLES") {
				got, err := query(ctx, conn, text)
				if held[i] += fmt.Sprintf("%s: %s %v\n", text, got, err); i == 0 && text == tc.change && (code(err) == 1235) != tc.refused {
					t.Errorf("%s: %v", text, err)
				}
			}
		}
		if !tc.refused && held[0] != held[1] {
			t.Errorf("got\n%swant\n%s", held[0], held[1])
		}
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM t"); tc.refused && got != "2" {
			t.Errorf("%s was refused, and left %s rows", tc.change, got)
		}
	}
	awaitEqual(t, c)
}
