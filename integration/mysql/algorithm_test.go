package mysql

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A table that was filled from a snapshot is held otherwise than one that was altered: an index FULLTEXT that was there leaves a column behind which the next one can use.
func TestAlgorithmDecidesNothing(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-nexus-snapshot-count", "20")
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY, b TEXT, FULLTEXT i (b))", "CREATE TABLE d.u LIKE d.t", "ALTER TABLE d.t DROP INDEX i", "ALTER TABLE d.u DROP INDEX i")
	for i := range 60 {
		execute(t, db, fmt.Sprintf("INSERT INTO d.t VALUES (%d, 'word')", i))
	}
	joining, err := c.AddNode() // by a snapshot
	check(t, err)
	check(t, joining.MariaDB.StartReady(within(t, 60*time.Second)))
	check(t, joining.Start())
	if out, err := repl(t, leader, "addNode", joining.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// An empty table of that definition has no such column.
	if _, err := db.Exec("ALTER TABLE d.t ADD FULLTEXT (b), ALGORITHM=NOCOPY, LOCK=SHARED"); err == nil || !strings.Contains(err.Error(), "1845") {
		t.Errorf("altered as only some of the servers can: %v", err)
	}
	db.SetMaxOpenConns(1)
	execute(t, db, "ALTER TABLE d.t ADD FULLTEXT (b), ALGORITHM=INPLACE", "ALTER ONLINE TABLE d.t ADD INDEX j (a)",
		"SET alter_algorithm=NOCOPY", "ALTER TABLE d.u ADD FULLTEXT (b)")
	awaitEqual(t, c)
	for _, n := range c.Nodes {
		server, err := n.MariaDB.Client()
		check(t, err)
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema='d' AND index_type='FULLTEXT'"); got != "2" {
			t.Errorf("%s has %s indexes", n.Name, got)
		}
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='nexus' AND table_name LIKE 'tried%'"); got != "0" {
			t.Errorf("%s has %s tables left", n.Name, got)
		}
		server.Close()
	}
}
