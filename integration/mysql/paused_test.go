package mysql

import (
	"context"
	"testing"
	"time"
)

// A leader that is paused, or cut off, keeps the clients of other nodes waiting until another leads, and no longer: one that has asked
// something and one that is idle.
func TestPausedLeaderIsLeft(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	follower, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
	asking, idle := oneConn(t, open(t, follower)), oneConn(t, open(t, follower))
	for _, conn := range []queryer{asking, idle} {
		if _, err := query(within(t, 40*time.Second), conn, "SELECT COUNT(*) FROM app.t"); err != nil {
			t.Fatal(err)
		}
	}
	check(t, leader.Pause())
	defer func() { check(t, leader.Resume()) }()
	for _, statement := range []struct {
		conn queryer
		text string
	}{{asking, "INSERT INTO app.t VALUES (1)"}, {idle, "SELECT COUNT(*) FROM app.t"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		got, err := query(ctx, statement.conn, statement.text)
		late := ctx.Err()
		cancel()
		if late != nil || err == nil {
			t.Fatalf("%s, while the leader is paused: %q, %v", statement.text, got, err)
		}
	}
	awaitAnswer(t, open(t, follower), "SELECT COUNT(*) FROM app.t WHERE id>1", "0") // whoever leads now
}
