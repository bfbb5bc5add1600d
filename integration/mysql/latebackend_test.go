package mysql

import (
	"testing"
	"time"
)

// A node that is started again while its server is down counts for the majority, where another node is gone.
func TestVotesWithoutItsServer(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
	others := c.Others(leader)
	gone, late := others[0], others[1]
	for _, n := range others {
		check(t, n.Kill())
	}
	check(t, late.MariaDB.Kill())
	check(t, late.Start())
	eventually(t, 60*time.Second, func() error {
		_, err := open(t, leader).ExecContext(within(t, 10*time.Second), "REPLACE INTO d.t VALUES (1)")
		return err
	})
	if late.Ready(within(t, 5*time.Second)) == nil {
		t.Error("a node without a server says that it serves")
	}
	check(t, late.MariaDB.StartReady(within(t, 60*time.Second)))
	check(t, late.AwaitReady(within(t, 60*time.Second)))
	if got := mustQuery(t, open(t, late), "SELECT id FROM d.t"); got != "1" {
		t.Errorf("read %q", got)
	}
	check(t, gone.StartReady(within(t, 60*time.Second)))
	if out, err := repl(t, leader, "verify"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
