package mysql

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// What makes something new, and what is about accounts, waits for no transaction, whatever that has used; what it would have to wait for on a plain
// server is kept out still.
func TestSchemaChangesBesideTransactions(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t VALUES (1, 1)", "CREATE VIEW app.w AS SELECT * FROM app.t",
		"CREATE SEQUENCE app.s", "CREATE USER old@'%'")
	ctx := within(t, 120*time.Second)
	in := openAs(t, leader, "root", "", "app", nil)
	writer, changer := oneConn(t, in), oneConn(t, in)
	for _, statement := range []string{"BEGIN", "INSERT INTO t VALUES (2, 2)", "SAVEPOINT a", "UPDATE t SET v=9 WHERE id=1", "SELECT COUNT(*) FROM w", "SELECT NEXTVAL(s)", "SELECT COUNT(*) FROM mysql.user, mysql.db"} {
		_, err := query(ctx, writer, statement)
		check(t, err)
	}
	for _, missing := range []string{"SELECT * FROM x", "INSERT INTO x VALUES (1)", "SELECT * FROM fresh.x", "SELECT * FROM v"} {
		if _, err := query(ctx, writer, missing); code(err) != 1146 {
			t.Fatalf("%s: %v", missing, err)
		}
	}
	try := func(statement string) uint16 {
		_, err := query(ctx, changer, statement)
		if err != nil && code(err) == 0 {
			t.Fatalf("%s: %v", statement, err)
		}
		return code(err)
	}
	try("SET lock_wait_timeout=1")
	for _, unhindered := range []string{
		"CREATE TABLE x (a INT PRIMARY KEY)", "CREATE TABLE y LIKE t", "CREATE TABLE IF NOT EXISTS t (id INT)", "CREATE TABLE IF NOT EXISTS w (id INT)", "CREATE TABLE IF NOT EXISTS s (id INT)",
		"CREATE TABLE parted (a INT PRIMARY KEY) PARTITION BY HASH (a) PARTITIONS 3", "CREATE TABLE other (a INT PRIMARY KEY) ENGINE=MyISAM",
		"CREATE DATABASE fresh", "CREATE DATABASE IF NOT EXISTS app", "CREATE TABLE fresh.x (a INT PRIMARY KEY DEFAULT NEXTVAL(app.s))", "CREATE VIEW v AS SELECT t.id FROM t JOIN w USING (id)",
		"CREATE USER u@'%' IDENTIFIED BY 'x'", "CREATE ROLE r", "GRANT r TO u@'%'", "GRANT SELECT ON app.* TO u@'%'", "GRANT UPDATE (v) ON app.t TO u@'%'", "GRANT SELECT ON app.w TO r",
		"ALTER USER u@'%' ACCOUNT LOCK", "SET PASSWORD FOR u@'%'=PASSWORD('y')", "SET DEFAULT ROLE r FOR u@'%'", "DROP ROLE r", "DROP USER old@'%'",
	} {
		if got := try(unhindered); got != 0 {
			t.Errorf("%s: error %d", unhindered, got)
		}
	}
	if got := try("CREATE TABLE t (id INT)"); got != 1050 {
		t.Errorf("a table that is there: error %d", got)
	}
	for _, hindered := range []string{"CREATE OR REPLACE VIEW w AS SELECT 1", "CREATE VIEW IF NOT EXISTS w AS SELECT 1", "CREATE OR REPLACE TABLE t (a INT)", "ALTER TABLE t ADD z INT", "CREATE INDEX i ON t (v)",
		"CREATE TABLE child (a INT PRIMARY KEY, FOREIGN KEY (a) REFERENCES t (id))", "DROP TABLE t", "REVOKE UPDATE (v) ON app.t FROM u@'%'"} {
		if got := try(hindered); got != 1205 {
			t.Errorf("%s: error %d, want 1205", hindered, got)
		}
	}
	for _, statement := range []string{"ROLLBACK TO a", "INSERT INTO x VALUES (7)", "INSERT INTO fresh.x VALUES (8)", "SELECT * FROM v", "COMMIT"} {
		_, err := query(ctx, writer, statement)
		check(t, err)
	}
	awaitEqual(t, c)
	if got := mustQuery(t, db, "SELECT (SELECT GROUP_CONCAT(v) FROM app.t), (SELECT COUNT(*) FROM app.x), (SELECT COUNT(*) FROM fresh.x)"); got != "1,2,1,1" {
		t.Errorf("committed: %s", got)
	}
	awaitSame(t, c, "SELECT GROUP_CONCAT(user, host, priv ORDER BY user) FROM mysql.global_priv WHERE user IN ('u','r','old')")
}

// A node that dies at any step of a schema change beside transactions, with savepoints in the binary log, executes it once; nothing of them is lost.
func TestCrashBesideTransactions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Binary: failingNodeBinary})
	check(t, c.StartReady(within(t, 60*time.Second)))
	ctx := within(t, 300*time.Second)
	leader, err := c.Leader(ctx)
	check(t, err)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")
	var acknowledged atomic.Int64
	for i, step := range []struct {
		place      string
		onFollower bool
	}{
		{"mysql.before-schema", false}, {"mysql.after-schema", false}, {"mysql.schema-recorded", false},
		{"mysql.before-schema", true}, {"mysql.after-schema", true},
	} {
		victim, err := c.Leader(ctx)
		check(t, err)
		leads := !step.onFollower
		if step.onFollower {
			victim, err = c.Follower(ctx)
			check(t, err)
		}
		check(t, victim.Stop(20*time.Second))
		victim.Env = []string{"NEXUS_FAILPOINT=" + step.place}
		check(t, victim.StartReady(ctx))
		if leads {
			lead(t, c, victim)
		}
		leader, err := c.Leader(ctx)
		check(t, err)
		stop := keepCommitting(t, leader, &acknowledged)
		made := fmt.Sprintf("app.made%d", i)
		_, err = open(t, leader).ExecContext(ctx, "CREATE TABLE "+made+" (id INT PRIMARY KEY)")
		t.Logf("%s, follower: %v: %v", step.place, step.onFollower, err)
		select {
		case <-victim.Exited():
		case <-ctx.Done():
			t.Fatalf("%s: the node did not die", step.place)
		}
		stop()
		victim.Env = nil
		check(t, victim.StartReady(ctx))
		awaitEqual(t, c)
		now, err := c.Leader(ctx)
		check(t, err)
		// It was in the log before it was executed anywhere.
		if got := mustQuery(t, open(t, now), "SELECT COUNT(*) FROM "+made); got != "0" {
			t.Errorf("%s: %s rows", made, got)
		}
	}
	leader, err = c.Leader(ctx)
	check(t, err)
	got := mustQuery(t, open(t, leader), "SELECT COUNT(*) FROM app.t WHERE v=2")
	rows, err := strconv.ParseInt(got, 10, 64)
	check(t, err)
	if rows < acknowledged.Load() {
		t.Errorf("%d rows of %d transactions that were acknowledged", rows, acknowledged.Load())
	}
}

// keepCommitting has four sessions of n commit transactions with savepoints until stop is called.
func keepCommitting(t *testing.T, n *cluster.Node, acknowledged *atomic.Int64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var sessions sync.WaitGroup
	db := openAs(t, n, "root", "", "app", nil)
	for range 4 {
		sessions.Go(func() {
			for ctx.Err() == nil {
				tx, err := db.BeginTx(ctx, nil)
				if err != nil {
					return
				}
				for _, statement := range []string{"INSERT INTO t (v) VALUES (1)", "SAVEPOINT a", "UPDATE t SET v=2 WHERE id=LAST_INSERT_ID()", "SAVEPOINT b"} {
					if _, err := tx.ExecContext(ctx, statement); err != nil {
						_ = tx.Rollback()
						return
					}
				}
				if tx.Commit() != nil {
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	return func() { cancel(); sessions.Wait() }
}
