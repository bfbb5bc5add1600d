package mysql

import (
	"testing"
	"time"
)

// A transaction that has made a temporary table, and is rolled back, is in the binary log of the leader's server all the same. Nobody takes its rows
// for such as were written beside the log of Nexus.
func TestTransactionsWithTemporaryTables(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'",
		"CREATE PROCEDURE app.p() BEGIN CREATE TEMPORARY TABLE p (a INT) ENGINE=InnoDB; INSERT INTO t (v) VALUES ('lost'); INSERT INTO p VALUES (1); ROLLBACK; INSERT INTO t (v) VALUES ('kept'); END",
		"CREATE PROCEDURE app.q() BEGIN INSERT INTO t (v) VALUES ('lost'); CREATE TEMPORARY TABLE q ENGINE=MyISAM SELECT 1 AS a; DROP TEMPORARY TABLE q; ROLLBACK; INSERT INTO t (v) VALUES ('kept'); END")
	for _, texts := range [][]string{
		{"BEGIN", "INSERT INTO t (v) VALUES ('lost')", "CREATE TEMPORARY TABLE x (a INT) ENGINE=InnoDB", "INSERT INTO x VALUES (1)", "ROLLBACK"},
		{"BEGIN", "INSERT INTO t (v) VALUES ('lost')", "CREATE TEMPORARY TABLE x (a INT) ENGINE=MyISAM", "INSERT INTO x VALUES (1)", "SAVEPOINT s", "INSERT INTO t (v) VALUES ('lost')", "ROLLBACK TO s", "ROLLBACK"},
		{"CREATE TEMPORARY TABLE x (a INT) ENGINE=MEMORY", "BEGIN", "INSERT INTO t (v) VALUES ('lost')", "INSERT INTO x VALUES (1)"}, // and leaves
		{"BEGIN", "INSERT INTO t (v) VALUES ('kept')", "CREATE TEMPORARY TABLE x (a INT)", "DROP TEMPORARY TABLE x", "COMMIT"},
		{"CALL p()"}, {"CALL q()"}, {"BEGIN", "CREATE TEMPORARY TABLE z (a INT)", "CALL p()", "ROLLBACK"},
	} {
		conn := oneConn(t, openAs(t, leader, "u", "", "app", nil))
		for _, text := range texts {
			if _, err := conn.ExecContext(within(t, 40*time.Second), text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		check(t, conn.Close())
	}
	if got := mustQuery(t, db, "SELECT COUNT(*), SUM(v='kept') FROM app.t"); got != "4,4" {
		t.Errorf("rows, and those that stay, are %s", got)
	}
	awaitEqual(t, c)
	checkNothingLeft(t, c)
	for _, n := range c.Nodes {
		check(t, readyz(n))
	}
}
