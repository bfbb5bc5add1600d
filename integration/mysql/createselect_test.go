package mysql

import (
	"context"
	"errors"
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

// A session that dies while it fills a table leaves nothing, though the leader lives.
func TestNothingLeftOfLostSession(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.bare (a INT)", "INSERT INTO app.bare SELECT seq FROM app.seq_1_to_150000")
	const rows = "SELECT seq AS a, REPEAT('x', 100) AS b FROM app.seq_1_to_300000"
	execute(t, db, "CREATE PROCEDURE app.fills() CREATE TABLE app.made AS "+rows)
	for _, text := range []string{
		"CREATE TABLE app.made AS " + rows, "CREATE TABLE app.made PARTITION BY HASH (a) AS " + rows, "CALL app.fills()",
		"ALTER TABLE app.bare ADD id INT AUTO_INCREMENT PRIMARY KEY",
	} {
		for _, ending := range []string{"KILL ", "KILL QUERY ", ""} {
			filling := oneConn(t, open(t, leader))
			id := mustQuery(t, filling, "SELECT CONNECTION_ID()")
			ctx, leave := context.WithCancel(within(t, 120*time.Second))
			filled := make(chan error, 1)
			go func() {
				_, err := filling.ExecContext(ctx, text)
				filled <- err
			}()
			eventually(t, 60*time.Second, func() error {
				if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.processlist WHERE id="+id+" AND (info LIKE '%nexus\\_selected%' OR info LIKE '%nexus\\_altered%')"); got != "1" {
					return fmt.Errorf("%s: no table is being filled yet", text)
				}
				return nil
			})
			if ending == "" {
				leave() // the driver closes the connection
			} else {
				execute(t, db, ending+id)
			}
			err := <-filled
			leave()
			t.Logf("%s, %q: %v", text, ending, err)
			awaitAnswer(t, db, "SELECT GROUP_CONCAT(table_name) FROM information_schema.tables WHERE table_name LIKE 'nexus\\_selected%' OR table_name LIKE 'nexus\\_altered%'", "")
			execute(t, db, "DROP TABLE IF EXISTS app.made", "ALTER TABLE app.bare DROP COLUMN IF EXISTS id")
		}
	}
	awaitEqual(t, c)
}

// Nor does one whose connection to the server is lost between two steps.
func TestNothingLeftOfLostConnection(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app")
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	making := oneConn(t, db)
	id := mustQuery(t, making, "SELECT CONNECTION_ID()")
	made := make(chan error, 1)
	go func() {
		_, err := making.ExecContext(within(t, 120*time.Second), "CREATE TABLE app.made PARTITION BY HASH (a) PARTITIONS 2000 AS SELECT 1 AS a") // which takes its time
		made <- err
	}()
	eventually(t, 60*time.Second, func() error {
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'CREATE TABLE `app`.`nexus\\_selected%PARTITIONS 2000%'"); got != "1" {
			return errors.New("the table is not being made yet")
		}
		return nil
	})
	execute(t, server, "KILL "+id)
	if err := <-made; err == nil {
		t.Error("the table was made")
	}
	awaitAnswer(t, db, "SELECT GROUP_CONCAT(table_name) FROM information_schema.tables WHERE table_schema='app'", "")
	awaitEqual(t, c)
}
