package mysql

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A new node gets a snapshot while clients write, and then holds what the others hold; a backup begins a new cluster.
func TestJoinAndBackup(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-nexus-snapshot-count", "100")
	l := newBank(t, open(t, leader))
	execute(t, open(t, leader), "CREATE VIEW bank.total AS SELECT SUM(balance) AS total FROM bank.accounts",
		"CREATE SEQUENCE bank.numbers INCREMENT 5 CACHE 4", "CREATE TABLE bank.numbered (n BIGINT DEFAULT NEXTVAL(bank.numbers) PRIMARY KEY)",
		"INSERT INTO bank.numbered VALUES (DEFAULT), (DEFAULT)", "CREATE USER teller@'%' IDENTIFIED BY 'secret'", "GRANT SELECT ON bank.* TO teller@'%'")
	stop := l.run(t, c, 3)
	l.awaitCommits(t, 150)

	joiner, err := c.AddNode()
	check(t, err)
	check(t, joiner.MariaDB.StartReady(within(t, 40*time.Second)))
	check(t, joiner.Start())
	if out, err := repl(t, leader, "addNode", joiner.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, joiner.AwaitReady(within(t, 40*time.Second)))
	l.awaitCommits(t, 20)

	file := filepath.Join(t.TempDir(), "backup")
	if out, err := repl(t, joiner, "backup", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stop()
	awaitEqual(t, c)
	l.audit(t, open(t, joiner))
	if out, err := repl(t, leader, "verify"); err != nil || strings.Count(out, "equal") != 4 {
		t.Errorf("verify: %v\n%s", err, out)
	}

	other := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-restore", file}})
	check(t, other.StartReady(within(t, 60*time.Second)))
	db := open(t, other.Nodes[0])
	if got := mustQuery(t, db, "SELECT total FROM bank.total"); got != fmt.Sprint(accounts*opening) {
		t.Errorf("the restored sum is %s", got)
	}
	if got := mustQuery(t, db, "SHOW GRANTS FOR teller@'%'"); !strings.Contains(got, "GRANT SELECT ON `bank`.*") {
		t.Errorf("the restored account may %s", got)
	}
	execute(t, db, "INSERT INTO bank.accounts VALUES (100, 1)", "INSERT INTO bank.numbered VALUES (DEFAULT)")
	if got := mustQuery(t, db, "SELECT * FROM bank.numbered"); got != "1;6;21" {
		t.Errorf("numbers of a restored sequence: %s", got)
	}
}

// The rows of one node are changed by hand: it is found, stops serving and is filled again.
func TestRepair(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	newBank(t, open(t, leader))
	follower, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	awaitEqual(t, c)
	db, err := follower.MariaDB.Client()
	check(t, err)
	defer db.Close()
	execute(t, db, "SET sql_log_bin=0; UPDATE bank.accounts SET balance=balance+1 WHERE id=3")
	out, err := repl(t, leader, "verify")
	if err == nil || !strings.Contains(out, "bank.accounts") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := repl(t, follower, "repair"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, follower.AwaitReady(within(t, 40*time.Second)))
	awaitEqual(t, c)
}

// Backups and comparisons succeed while tables are filled, renamed and replaced all the time, and hold each under its name.
func TestBackupBesideSchemaChanges(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-nexus-snapshot-count", "30")
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.a AS SELECT seq AS id, 'a' AS v FROM app.seq_1_to_20000", "CREATE TABLE app.b AS SELECT seq AS id, 'b' AS v FROM app.seq_1_to_30000")
	ctx, cancel := context.WithCancel(within(t, 200*time.Second))
	changed := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			for _, text := range []string{"CREATE OR REPLACE TABLE app.r AS SELECT COUNT(*) AS n FROM app.a", "RENAME TABLE app.a TO app.c, app.b TO app.a, app.c TO app.b"} {
				if _, err := db.ExecContext(within(t, 40*time.Second), text); err != nil {
					changed <- fmt.Errorf("%s: %w", text, err)
					return
				}
			}
			select { // a snapshot needs a moment without: it is begun again for each table that was named meanwhile
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
		}
		changed <- nil
	}()
	for _, n := range c.Nodes {
		other := open(t, restored(t, n))
		if got := mustQuery(t, other, "SELECT (SELECT CONCAT(v, COUNT(*)) FROM app.a GROUP BY v), (SELECT CONCAT(v, COUNT(*)) FROM app.b GROUP BY v)"); got != "a20000,b30000" && got != "b30000,a20000" {
			t.Errorf("the backup of %s holds %s", n.Name, got)
		}
	}
	if out, err := repl(t, leader, "verify"); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	cancel()
	check(t, <-changed)
	awaitEqual(t, c)
}
