package mysql

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A node that dies at any step between the execution of a transaction and its answer settles it when it is back, and all
// members hold the same.
func TestCrashAtEachStep(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Binary: failingNodeBinary})
	check(t, c.StartReady(within(t, 60*time.Second)))
	ctx := within(t, 300*time.Second)
	leader, err := c.Leader(ctx)
	check(t, err)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, step VARCHAR(40), v CHAR(36))", "CREATE SEQUENCE app.s NOCACHE",
		"CREATE TABLE app.unordered (v INT)", "INSERT INTO app.unordered VALUES (3), (1), (2)")
	acknowledged := 0
	for _, step := range []struct {
		place      string
		onFollower bool
		statement  string
	}{
		{"mysql.executed", false, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.captured", false, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.sequence", false, "INSERT INTO app.t (step, v) VALUES (?, NEXTVAL(app.s))"},
		{"mysql.sequence", true, "INSERT INTO app.t (step, v) VALUES (?, NEXTVAL(app.s)+1000*NEXTVAL(app.s))"},
		{"mysql.prepared", false, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.before-commit", false, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.after-commit", false, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.before-answer", false, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.before-rows", true, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.after-rows", true, "INSERT INTO app.t (step, v) VALUES (?, UUID())"},
		{"mysql.before-schema", false, "ALTER TABLE app.t ADD INDEX (v)"},
		{"mysql.before-schema", true, "ALTER TABLE app.t ADD INDEX (v)"},
		{"mysql.schema-recorded", false, "ALTER TABLE app.t ADD INDEX (v)"},
		{"mysql.schema-recorded", true, "ALTER TABLE app.t ADD INDEX (v)"},
		{"mysql.filling", false, "CREATE TABLE app.filled AS SELECT *, UUID() AS u FROM app.t"},
		{"mysql.filled", false, "CREATE TABLE app.filled PARTITION BY HASH (id) AS SELECT *, UUID() AS u FROM app.t"},
		{"mysql.altered", false, "ALTER TABLE app.unordered ADD COLUMN id INT AUTO_INCREMENT PRIMARY KEY"},
		{"mysql.after-schema", false, "ALTER TABLE app.t ADD INDEX (v)"},
		{"mysql.after-schema", true, "ALTER TABLE app.t ADD INDEX (v)"},
	} {
		where := map[bool]string{false: "leader", true: "follower"}[step.onFollower]
		t.Log(step.place, "on the", where)
		victim, err := c.Leader(ctx)
		check(t, err)
		if step.onFollower {
			victim, err = c.Follower(ctx)
			check(t, err)
		}
		leads := !step.onFollower
		check(t, victim.Stop(20*time.Second))
		// The transactions of a session that has had many have one name, and are begun and ended by what is prepared.
		before := 0
		if leads && step.statement[0] == 'I' && step.place != "mysql.sequence" {
			before = 20
		}
		victim.Env = []string{fmt.Sprintf("NEXUS_FAILPOINT=%s:%d", step.place, before+1)}
		check(t, victim.StartReady(ctx))
		if leads {
			lead(t, c, victim)
		}
		n, err := c.Leader(ctx)
		check(t, err)
		db := open(t, n)
		var args []any
		if step.statement[0] == 'I' {
			args = append(args, step.place)
		}
		client, err := db.Conn(ctx)
		check(t, err)
		for range before {
			_, err := client.ExecContext(ctx, "DELETE FROM app.t WHERE id=0")
			check(t, err)
		}
		if _, err := client.ExecContext(ctx, step.statement, args...); err == nil && args != nil {
			acknowledged++
		}
		client.Close()
		select {
		case <-victim.Exited():
		case <-ctx.Done():
			t.Fatalf("%s: the node did not die", step.place)
		}
		victim.Env = nil
		check(t, victim.StartReady(ctx))
		awaitEqual(t, c)
		for _, n := range c.Nodes {
			db, err := n.MariaDB.Client()
			check(t, err)
			eventually(t, 40*time.Second, func() error { // the next leader drops it
				left := mustQuery(t, db, "SELECT table_name FROM information_schema.tables WHERE table_schema='app' AND table_name NOT IN ('t','s','unordered')")
				if left != "" {
					return fmt.Errorf("%s: %s is left on %s", step.place, left, n.Name)
				}
				return nil
			})
			if got := mustQuery(t, db, "XA RECOVER"); got != "" {
				t.Errorf("%s: still prepared on %s: %s", step.place, n.Name, got)
			}
			db.Close()
		}
	}
	n, err := c.Leader(ctx)
	check(t, err)
	db := open(t, n)
	rows, err := strconv.Atoi(mustQuery(t, db, "SELECT COUNT(*) FROM app.t"))
	check(t, err)
	if rows < acknowledged || rows > 10 {
		t.Errorf("%d rows of which %d were acknowledged", rows, acknowledged)
	}
	for step, want := range map[string]string{"mysql.executed": "0", "mysql.captured": "0", "mysql.sequence": "2", "mysql.before-commit": "1", "mysql.after-commit": "1", "mysql.before-answer": "1", "mysql.before-rows": "1", "mysql.after-rows": "1"} {
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.t WHERE step=?", step); got != want {
			t.Errorf("%s: %s rows, want %s", step, got, want)
		}
	}
	if got := mustQuery(t, db, "SELECT CONCAT(GROUP_CONCAT(v ORDER BY v), ' of ', COUNT(*)) FROM app.unordered"); got != "1,2,3 of 3" {
		t.Errorf("the table that was not altered holds %s", got)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema='app' AND index_name<>'PRIMARY'"); got != "6" {
		t.Errorf("%s indexes, want 6", got)
	}
}

// lead makes n the leader.
func lead(t *testing.T, c *cluster.Cluster, n *cluster.Node) {
	t.Helper()
	eventually(t, 40*time.Second, func() error {
		leader, err := c.Leader(within(t, 40*time.Second))
		if err != nil || leader == n {
			return err
		}
		if out, err := repl(t, leader, "transferLeader", n.URL()); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return fmt.Errorf("%s does not lead yet", n.Name)
	})
}
