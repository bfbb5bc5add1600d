package mysql

import (
	"fmt"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// CREATE OR REPLACE TABLE ... SELECT leaves the table as it was, or as it is to be, wherever the leader dies.
func TestReplacedOrKept(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Binary: failingNodeBinary})
	check(t, c.StartReady(within(t, 60*time.Second)))
	ctx := within(t, 300*time.Second)
	leader, err := c.Leader(ctx)
	check(t, err)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.kept (id INT PRIMARY KEY)", "INSERT INTO app.kept VALUES (0)", "CREATE PROCEDURE app.replaces(x INT) CREATE OR REPLACE TABLE app.kept AS SELECT x AS id")
	was := 0
	for i, step := range []struct {
		place string
		text  string
		done  bool // by those that live
	}{
		{"mysql.filled", "CREATE OR REPLACE TABLE app.kept AS SELECT %d AS id", false},
		{"mysql.after-schema:2", "CREATE OR REPLACE TABLE app.kept AS SELECT %d AS id", true},
		{"mysql.schema-recorded:2", "CREATE OR REPLACE TABLE app.kept AS SELECT %d AS id", true},
		{"mysql.after-schema:3", "CREATE OR REPLACE TABLE app.kept AS SELECT %d AS id", true},
		{"mysql.schema-recorded:4", "CREATE OR REPLACE TABLE app.kept PARTITION BY HASH (id) AS SELECT %d AS id", true},
		{"mysql.schema-recorded:2", "CALL app.replaces(%d)", true},
	} {
		t.Log(step.place, step.text)
		victim, err := c.Leader(ctx)
		check(t, err)
		check(t, victim.Stop(20*time.Second))
		victim.Env = []string{"NEXUS_FAILPOINT=" + step.place}
		check(t, victim.StartReady(ctx))
		lead(t, c, victim)
		want := i + 1
		_, _ = open(t, victim).ExecContext(ctx, fmt.Sprintf(step.text, want)) // it dies
		select {
		case <-victim.Exited():
		case <-ctx.Done():
			t.Fatalf("%s: the node did not die", step.place)
		}
		victim.Env = nil
		check(t, victim.StartReady(ctx))
		if !step.done {
			want = was
		}
		was = want
		for _, n := range c.Nodes {
			local, err := n.MariaDB.Client()
			check(t, err)
			eventually(t, 40*time.Second, func() error { // the next leader drops what is left
				got, err := query(ctx, local, "SELECT GROUP_CONCAT(table_name), (SELECT GROUP_CONCAT(id) FROM app.kept) FROM information_schema.tables WHERE table_schema='app'")
				if want := fmt.Sprintf("kept,%d", want); err != nil || got != want {
					return fmt.Errorf("%s: %s holds %s, want %s: %w", step.place, n.Name, got, want, err)
				}
				return nil
			})
			local.Close()
		}
		awaitEqual(t, c)
	}
}
