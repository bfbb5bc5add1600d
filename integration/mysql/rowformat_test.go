package mysql

import (
	"fmt"
	"testing"
	"time"
)

// A table that only a lenient session may create, as one of another engine with its options, is in snapshots as any other.
func TestJoinWithOptionsOfOtherEngines(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-nexus-snapshot-count", "20")
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY) ENGINE=MyISAM ROW_FORMAT=FIXED")
	for i := range 600 {
		execute(t, db, fmt.Sprintf("INSERT INTO app.t VALUES (%d)", i))
	}
	joiner, err := c.AddNode()
	check(t, err)
	check(t, joiner.MariaDB.StartReady(within(t, 40*time.Second)))
	check(t, joiner.Start())
	if out, err := repl(t, leader, "addNode", joiner.URL()); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	check(t, joiner.AwaitReady(within(t, 60*time.Second)))
	awaitEqual(t, c)
}
