package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// TestBackendSwapped puts another redis-server in the place of a running node's, under load. Where that holds what is not
// this node's, the node must stop instead of serving it or mixing it with its own, and say what to do.
func TestBackendSwapped(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	l := startLoad(t, c.Nodes, 4)
	l.awaitProgress(t, 200)
	dirs := t.TempDir()
	for _, tc := range []struct {
		name string
		lead bool
		dump func(t *testing.T, n *cluster.Node) string // file that the other one loads
		says string                                     // "": the node goes on
	}{
		{"an empty one", false, nil, ""},
		{"an empty one of the leader", true, nil, ""},
		{"one with data of strangers", false, dumpOfStrangers, "holds data but lost its position"},
		{"one with data of strangers, of the leader", true, dumpOfStrangers, "holds data but lost its position"},
		{"one of another node", false, func(t *testing.T, n *cluster.Node) string { return dumpOf(t, survivors(c, n)[0]) }, "belongs to node"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := pick(t, c, tc.lead)
			dir := must(os.MkdirTemp(dirs, ""))(t)
			if tc.dump != nil {
				check(t, os.Rename(tc.dump(t, n), filepath.Join(dir, "dump.rdb")))
			}
			other := must(cluster.NewRedis(n.Backend.Name, dir, n.Backend.Port))(t)
			old := n.Backend
			check(t, old.Kill())
			n.Backend = other
			check(t, other.StartReady(within(t, 40*time.Second)))
			if tc.says != "" {
				stopsFor(t, n, tc.says)
				l.awaitProgress(t, 100) // the others go on
				backend := other.Client(0)
				defer backend.Close()
				check(t, backend.FlushAll(within(t, 40*time.Second)).Err())
				check(t, backend.Do(within(t, 40*time.Second), "FUNCTION", "FLUSH").Err())
				check(t, n.Start())
			}
			check(t, n.AwaitReady(within(t, 40*time.Second)))
			l.awaitProgress(t, 100)
			if err := client(t, n, 0).Get(within(t, 40*time.Second), "stranger").Err(); err == nil || err.Error() != "redis: nil" {
				t.Errorf("a key of the other server: %v", err)
			}
		})
	}
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// dumpOfStrangers is of a redis-server that no cluster knows.
func dumpOfStrangers(t *testing.T, _ *cluster.Node) string {
	t.Helper()
	r := startRedis(t)
	db := r.Client(0)
	defer db.Close()
	check(t, db.Set(within(t, 40*time.Second), "stranger", "v", 0).Err())
	check(t, db.Save(within(t, 40*time.Second)).Err())
	return filepath.Join(r.DataDir, "dump.rdb")
}

// dumpOf is of the redis-server of a node.
func dumpOf(t *testing.T, n *cluster.Node) string {
	t.Helper()
	db := n.Backend.Client(0)
	defer db.Close()
	// A snapshot may be under way.
	eventually(t, 40*time.Second, func() error { return db.Save(within(t, 40*time.Second)).Err() })
	return filepath.Join(n.Backend.DataDir, "dump.rdb")
}

// stopsFor waits until a node has ended for a reason.
func stopsFor(t *testing.T, n *cluster.Node, reason string) {
	t.Helper()
	select {
	case <-n.Exited():
	case <-time.After(40 * time.Second):
		t.Fatalf("%s goes on: %v\n%s", n.Name, n.Ready(within(t, time.Second)), n.Output())
	}
	if output := n.Output(); n.Err() == nil || !strings.Contains(output, reason) || !strings.Contains(output, "FLUSHALL") {
		t.Errorf("%s ended with %v and says:\n%s", n.Name, n.Err(), output)
	}
}

// TestBackendLoading restarts redis-servers that take a while to load an old dump, and answer LOADING meanwhile: their
// nodes say so, serve nothing, and go on by themselves from what the dump held.
func TestBackendLoading(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	check(t, fillOneByOne(within(t, 40*time.Second), c.Nodes[0], 1000))
	l := startLoad(t, c.Nodes, 3)
	l.awaitProgress(t, 100)
	for _, lead := range []bool{false, true} {
		t.Run(fmt.Sprint("leader ", lead), func(t *testing.T) {
			n := pick(t, c, lead)
			dumpOf(t, n)
			l.awaitProgress(t, 200)
			backend := n.Backend
			check(t, backend.Kill())
			args := backend.Args
			// 4 ms for a key.
			backend.Args = append(args[:len(args):len(args)], "--key-load-delay", "4000", "--loading-process-events-interval-bytes", "1024")
			check(t, backend.Start())
			backend.Args = args
			loading := false
			eventually(t, 40*time.Second, func() error {
				err := n.Ready(within(t, time.Second))
				if err == nil {
					return nil
				}
				if strings.Contains(err.Error(), "loading its dataset") && !loading {
					loading = true
					refusesWhileLoading(t, n)
				}
				return err
			})
			if !loading {
				t.Error("the node has not said that its backend loads")
			}
			if got := clustertest.Metric(t, n, "nexus_backend_up") + clustertest.Metric(t, n, "nexus_serving"); got != "11" {
				t.Errorf("up and serving are %s, want both", got)
			}
			if !strings.Contains(n.Output(), "backend lost data and is filled again") {
				t.Errorf("the node has not gone on from the dump:\n%s", n.Output())
			}
			l.awaitProgress(t, 100)
		})
	}
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// refusesWhileLoading checks what clients and monitoring are told while a backend loads.
func refusesWhileLoading(t *testing.T, n *cluster.Node) {
	t.Helper()
	ctx := within(t, 40*time.Second)
	for name, err := range map[string]error{
		"SET": client(t, n, 0).Set(ctx, "while:loading", 1, 0).Err(),
		"GET": client(t, n, 0).Get(ctx, "while:loading").Err(),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "TRYAGAIN nexus: not executed: ") || !strings.Contains(err.Error(), "loading its dataset") {
			t.Errorf("%s is told %v", name, err)
		}
	}
	for _, metric := range []string{"nexus_backend_up", "nexus_serving"} {
		if got := clustertest.Metric(t, n, metric); got != "0" {
			t.Errorf("%s is %s", metric, got)
		}
	}
}

// TestBackendFlushed empties a backend directly, which spares the functions on it, while clients use scripts and
// functions: its node fills it again by itself, also where it keeps such a function of its own.
func TestBackendFlushed(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"-nexus-snapshot-count", "30"}} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, flags...)
			ctx := within(t, 60*time.Second)
			db := client(t, c.Nodes[0], 0)
			check(t, db.Do(ctx, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('count', function(keys) return redis.call('INCR', keys[1]) end)").Err())
			count := func(n *cluster.Node, want int64) {
				t.Helper()
				c := client(t, n, 0)
				if got, err := c.Do(ctx, "FCALL", "count", "1", "n").Int64(); got != want || err != nil {
					t.Errorf("the function answers %d, %v, want %d", got, err, want)
				}
				if got, err := c.Eval(ctx, "redis.call('SET', KEYS[1], ARGV[1], 'EX', 1000) return redis.call('GET', KEYS[1])", []string{"k"}, want).Int64(); got != want || err != nil {
					t.Errorf("the script answers %d, %v, want %d", got, err, want)
				}
			}
			for i := range int64(40) {
				count(c.Nodes[i%3], i+1)
			}
			for i, lead := range []bool{false, true} {
				n := pick(t, c, lead)
				backend := n.Backend.Client(0)
				defer backend.Close()
				if size, err := backend.Do(ctx, "FUNCTION", "LIST").Slice(); err != nil || len(size) == 0 {
					t.Fatalf("no functions on the backend, %v: this test tests nothing", err)
				}
				check(t, backend.FlushAll(ctx).Err())
				eventually(t, 40*time.Second, func() error {
					if !n.Running() {
						t.Fatalf("%s ended:\n%s", n.Name, n.Output())
					}
					if size, err := backend.DBSize(ctx).Result(); err != nil || size != 2 {
						return fmt.Errorf("the backend holds %d of 2 keys, %w", size, errors.Join(err, n.Ready(ctx)))
					}
					return nil
				})
				check(t, n.AwaitReady(ctx))
				count(n, int64(41+i))
			}
			if _, err := c.AwaitEqual(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
