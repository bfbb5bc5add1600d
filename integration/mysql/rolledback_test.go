package mysql

import (
	"strings"
	"testing"
)

// What a session that has made temporary tables leaves open, or rolls back, stands in the binary log of the server, and nobody has it.
func TestRolledBackWithTemporaryTables(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t VALUES (1, 1), (2, 2)")
	for _, texts := range [][]string{
		{"SET autocommit=0", "CREATE TEMPORARY TABLE app.mine (a INT)", "INSERT INTO app.mine VALUES (5)", "UPDATE app.t SET v=(SELECT a FROM app.mine) WHERE id=1"},
		{"SET autocommit=0", "CREATE TEMPORARY TABLE app.mine (a INT) ENGINE=MyISAM", "UPDATE app.t SET v=7", "INSERT INTO app.mine VALUES (5)", "ROLLBACK", "UPDATE app.t SET v=8"},
		{"BEGIN", "UPDATE app.t SET v=7", "CREATE TEMPORARY TABLE app.mine (a INT)", "INSERT INTO app.mine VALUES (5)", "UPDATE app.t SET v=9", "ROLLBACK"},
		{"BEGIN", "CREATE TEMPORARY TABLE app.mine (a INT) ENGINE=MyISAM", "INSERT INTO app.mine VALUES (5)", "UPDATE app.t SET v=9", "DROP TEMPORARY TABLE app.mine", "UPDATE app.t SET v=10"},
	} {
		conn := oneConn(t, openAs(t, leader, "root", "", "", nil))
		exec(t, conn, texts...)
		check(t, conn.Raw(func(driver any) error { return driver.(interface{ Close() error }).Close() }))
	}
	execute(t, db, "UPDATE app.t SET v=v+10 WHERE id=2")
	awaitEqual(t, c)
	if got := mustQuery(t, db, "SELECT id, v FROM app.t"); got != "1,1;2,12" {
		t.Errorf("got %s", strings.TrimSpace(got))
	}
	for _, n := range c.Nodes {
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s counts %s writes beside the log", n.Name, got)
		}
	}
}
