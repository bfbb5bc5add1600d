package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// connect returns one connection of a pool that does not try again elsewhere.
func connect(t *testing.T, n *cluster.Node) *sql.Conn {
	t.Helper()
	conn, err := open(t, n).Conn(within(t, 60*time.Second))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestGracefulStop stops a node whose clients are busy: writers, of which each counts what it was told, an open
// transaction, one that waits for its lock, and idle ones. Nothing that was acknowledged is lost, what was open is rolled
// back, and the process ends. Clients of a follower are relayed to the leader, which goes on.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		leads  bool
		signal syscall.Signal
	}{{"leader", true, syscall.SIGTERM}, {"follower", false, syscall.SIGINT}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, n := startCluster(t)
			execute(t, open(t, n), "CREATE DATABASE stop", "CREATE TABLE stop.rows (client INT, id INT, PRIMARY KEY (client, id))",
				"CREATE TABLE stop.open (id INT PRIMARY KEY, v INT)", "INSERT INTO stop.open VALUES (1, 0)")
			if !tc.leads {
				var err error
				n, err = c.Follower(within(t, 40*time.Second))
				check(t, err)
			}
			const clients = 6
			var acked [clients]atomic.Int64
			var tasks sync.WaitGroup
			for i := range clients {
				conn := connect(t, n)
				tasks.Go(func() {
					for id := 0; ; id++ {
						if _, err := conn.ExecContext(context.Background(), fmt.Sprintf("INSERT INTO stop.rows VALUES (%d, %d)", i, id)); err != nil {
							return
						}
						acked[i].Add(1)
					}
				})
			}
			holder, waiter, idle := connect(t, n), connect(t, n), connect(t, n)
			ctx := within(t, 60*time.Second)
			tx, err := holder.BeginTx(ctx, nil)
			check(t, err)
			_, err = tx.ExecContext(ctx, "UPDATE stop.open SET v=1")
			check(t, err)
			waited := make(chan error, 1)
			go func() {
				_, err := waiter.ExecContext(ctx, "UPDATE stop.open SET v=2")
				waited <- err
			}()
			check(t, idle.PingContext(ctx))
			eventually(t, 40*time.Second, func() error {
				for i := range acked {
					if got := acked[i].Load(); got < 20 {
						return fmt.Errorf("client %d: %d are acknowledged", i, got)
					}
				}
				return nil
			})

			took := signalled(t, n, tc.signal)
			t.Logf("the process was gone after %v", took)
			tasks.Wait()
			log := n.Output()
			if n.ExitCode() != 0 || !strings.Contains(log, "msg=stopped") || strings.Contains(log, "without handing over") || strings.Contains(log, "in the middle") {
				t.Errorf("exit status %d, log:\n%s", n.ExitCode(), log)
			}
			if err := tx.Commit(); err == nil {
				t.Error("a transaction was committed whose node is gone")
			}
			updated := <-waited == nil // when the other was rolled back, it may have been in time

			for _, left := range c.Nodes {
				if left == n {
					continue
				}
				db := open(t, left)
				eventually(t, 40*time.Second, func() error { return db.PingContext(ctx) })
				for i := range acked {
					got := mustQuery(t, db, fmt.Sprintf("SELECT COUNT(*), COALESCE(MAX(id), -1) FROM stop.rows WHERE client=%d", i))
					var count, last int64
					if _, err := fmt.Sscanf(got, "%d,%d", &count, &last); err != nil {
						t.Fatal(err)
					}
					// What was in flight was answered, also what the leader had to be asked.
					if told := acked[i].Load(); count != told || last != count-1 {
						t.Errorf("%s: client %d has %d rows, the last is %d, and was told of %d", left.Name, i, count, last, told)
					}
				}
				v := mustQuery(t, db, "SELECT v FROM stop.open")
				if v == "1" || updated && v != "2" {
					t.Errorf("%s: the row holds %s; the one that waited was told that it is updated: %v", left.Name, v, updated)
				}
			}
		})
	}
}

// TestHangup: SIGHUP ends no node.
func TestHangup(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 60*time.Second)))
	n := c.Nodes[0]
	check(t, syscall.Kill(n.Pid(), syscall.SIGHUP))
	eventually(t, 40*time.Second, func() error {
		if !strings.Contains(n.Output(), "SIGHUP has nothing to do") {
			return fmt.Errorf("the log is silent:\n%s", n.Output())
		}
		return nil
	})
	if got := mustQuery(t, open(t, n), "SELECT 1"); got != "1" || !n.Running() {
		t.Errorf("got %q:\n%s", got, n.Output())
	}
}
