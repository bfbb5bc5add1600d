package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// pipeliner writes numbers to a list of its own, many at a time over one connection, until that breaks. What it was
// told is acknowledged.
type pipeliner struct {
	key   string
	conn  net.Conn
	acked atomic.Int64
}

func startPipeliner(t *testing.T, n *cluster.Node, key string, tasks *sync.WaitGroup) *pipeliner {
	t.Helper()
	p := &pipeliner{key: key, conn: must(net.Dial("tcp", n.Addr()))(t)}
	t.Cleanup(func() { p.conn.Close() })
	tasks.Go(func() {
		r := bufio.NewReader(p.conn)
		for next := 0; ; {
			const many = 20
			var b strings.Builder
			for range many {
				fmt.Fprintf(&b, "RPUSH %s %d\r\n", key, next)
				next++
			}
			if _, err := p.conn.Write([]byte(b.String())); err != nil {
				return
			}
			for range many {
				line, err := r.ReadString('\n')
				if err != nil || !strings.HasPrefix(line, ":") {
					return
				}
				p.acked.Add(1)
			}
		}
	})
	return p
}

// TestGracefulStop stops a node whose clients are busy: with pipelines, a transaction, waiting, subscribed. Nothing that
// was acknowledged is lost, the leadership is handed over, and the process ends.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		leads  bool
		signal syscall.Signal
	}{{"leader", true, syscall.SIGTERM}, {"follower", false, syscall.SIGINT}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			n := must(c.Leader(within(t, 40*time.Second)))(t)
			if !tc.leads {
				n = must(c.Follower(within(t, 40*time.Second)))(t)
			}
			var tasks sync.WaitGroup
			var busy []*pipeliner
			for i := range 8 {
				busy = append(busy, startPipeliner(t, n, "list:"+strconv.Itoa(i), &tasks))
			}
			blocked, subscriber, open := dialLines(t, n), dialLines(t, n), dialLines(t, n)
			blocked.send(t, "BLPOP nothing 0")
			subscriber.send(t, "SUBSCRIBE news")
			for range 6 {
				subscriber.line(t)
			}
			open.send(t, "MULTI", "SET half done")
			open.line(t)
			open.line(t)
			eventually(t, 40*time.Second, func() error {
				for _, p := range busy {
					if p.acked.Load() < 200 {
						return fmt.Errorf("%s: %d are acknowledged", p.key, p.acked.Load())
					}
				}
				return nil
			})

			took := signalled(t, n, tc.signal)
			t.Logf("the process was gone after %v", took)
			tasks.Wait()
			log := n.Output()
			if n.ExitCode() != 0 || !strings.Contains(log, "msg=stopping") || !strings.Contains(log, "msg=stopped") {
				t.Errorf("exit status %d, log:\n%s", n.ExitCode(), log)
			}
			for _, bad := range []string{"while stopping", "in the middle", "without handing over"} {
				if strings.Contains(log, bad) {
					t.Errorf("the log says %q:\n%s", bad, log)
				}
			}
			for _, r := range []*lineClient{blocked, subscriber, open} {
				if line, err := r.r.ReadString('\n'); err == nil {
					t.Errorf("a client that was not served got %q", line)
				}
			}
			checkLists(t, c, n, busy)
		})
	}
}

// checkLists reads through the nodes that are left what was acknowledged: it is there, once and in order. Behind it may
// be what was on its way.
func checkLists(t *testing.T, c *cluster.Cluster, stopped *cluster.Node, busy []*pipeliner) {
	t.Helper()
	for _, n := range c.Nodes {
		if n == stopped {
			continue
		}
		db := client(t, n, 0)
		for _, p := range busy {
			var list []string
			eventually(t, 40*time.Second, func() (err error) {
				list, err = db.LRange(context.Background(), p.key, 0, -1).Result()
				return err
			})
			if acked := int(p.acked.Load()); len(list) < acked || len(list) > acked+20 {
				t.Errorf("%s: %s has %d elements, %d were acknowledged", n.Name, p.key, len(list), acked)
			}
			for i, v := range list {
				if v != strconv.Itoa(i) {
					t.Fatalf("%s: %s has %s at %d", n.Name, p.key, v, i)
				}
			}
		}
		if got, err := db.Get(context.Background(), "half").Result(); !errors.Is(err, redis.Nil) {
			t.Errorf("a transaction without EXEC: %q, %v", got, err)
		}
	}
}

// lineClient speaks to a node as a person with telnet does.
type lineClient struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialLines(t *testing.T, n *cluster.Node) *lineClient {
	t.Helper()
	conn := must(net.Dial("tcp", n.Addr()))(t)
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	return &lineClient{conn, bufio.NewReader(conn)}
}

func (c *lineClient) send(t *testing.T, lines ...string) {
	t.Helper()
	_, err := c.conn.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	check(t, err)
}

func (c *lineClient) line(t *testing.T) string {
	t.Helper()
	line, err := c.r.ReadString('\n')
	check(t, err)
	return strings.TrimSuffix(line, "\r\n")
}

// TestStopBusyForLong: what does not end by itself is cut off, and the node ends all the same, which it says.
func TestStopBusyForLong(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 40*time.Second)))
	n := c.Nodes[0]
	sleeper := dialLines(t, n)
	sleeper.send(t, "DEBUG SLEEP 50")
	probe := dialLines(t, n)
	eventually(t, 40*time.Second, func() error {
		probe.send(t, "CLIENT LIST")
		probe.line(t) // its length
		var list []string
		for {
			line := probe.line(t)
			if line == "" {
				break
			}
			list = append(list, line)
		}
		if !strings.Contains(strings.Join(list, "\n"), "cmd=debug") {
			return fmt.Errorf("nobody sleeps: %q", list)
		}
		return nil
	})
	took := signalled(t, n, syscall.SIGTERM)
	t.Logf("the process was gone after %v", took)
	if n.ExitCode() != 0 || !strings.Contains(n.Output(), `msg="while stopping"`) {
		t.Errorf("exit status %d, log:\n%s", n.ExitCode(), n.Output())
	}
}

// TestHangup: SIGHUP reads users again where there are any, and ends no node.
func TestHangup(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users")
	check(t, os.WriteFile(users, []byte("user default on nopass ~* &* +@all\n"), 0o600))
	with := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-users", users}})
	without := newCluster(t, cluster.Options{Size: 1})
	for _, c := range []*cluster.Cluster{with, without} {
		check(t, c.StartReady(within(t, 40*time.Second)))
	}
	n := without.Nodes[0]
	check(t, syscall.Kill(n.Pid(), syscall.SIGHUP))
	awaitLog(t, n, "SIGHUP has nothing to do")
	check(t, client(t, n, 0).Ping(within(t, 40*time.Second)).Err())

	n = with.Nodes[0]
	ctx := within(t, 40*time.Second)
	alice := redis.NewClient(&redis.Options{Addr: n.Addr(), Username: "alice", Password: "wonder", MaxRetries: -1})
	defer alice.Close()
	if err := alice.Ping(ctx).Err(); err == nil {
		t.Error("alice is let in before anybody has named her")
	}
	check(t, os.WriteFile(users, []byte("user default on nopass ~* &* +@all\nuser alice on >wonder ~* +@all\n"), 0o600))
	check(t, syscall.Kill(n.Pid(), syscall.SIGHUP))
	eventually(t, 40*time.Second, func() error { return alice.Ping(ctx).Err() })
	check(t, os.WriteFile(users, []byte("user alice nonsense\n"), 0o600))
	check(t, syscall.Kill(n.Pid(), syscall.SIGHUP))
	awaitLog(t, n, "SIGHUP changed nothing")
	check(t, alice.Ping(ctx).Err())
	for _, c := range []*cluster.Cluster{with, without} {
		if !c.Nodes[0].Running() {
			t.Errorf("a node ended:\n%s", c.Nodes[0].Output())
		}
	}
}

func awaitLog(t *testing.T, n *cluster.Node, want string) {
	t.Helper()
	eventually(t, 40*time.Second, func() error {
		if log := n.Output(); !strings.Contains(log, want) {
			return fmt.Errorf("the log lacks %q:\n%s", want, log)
		}
		return nil
	})
}

// TestQuitTellsStacks: SIGQUIT ends a node with what it was doing, for a report, and without harm.
func TestQuitTellsStacks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 40*time.Second)))
	n := c.Nodes[0]
	ctx := within(t, 60*time.Second)
	check(t, client(t, n, 0).Set(ctx, "k", "v", 0).Err())
	signalled(t, n, syscall.SIGQUIT)
	log, err := os.ReadFile(n.Log)
	check(t, err)
	if n.ExitCode() != 2 || !strings.Contains(string(log), "SIGQUIT: quit") || strings.Count(string(log), "\ngoroutine ") < 10 {
		t.Errorf("exit status %d, log:\n%s", n.ExitCode(), log)
	}
	check(t, n.StartReady(ctx))
	if got, err := client(t, n, 0).Get(ctx, "k").Result(); err != nil || got != "v" {
		t.Errorf("after a new start: %q, %v", got, err)
	}
}
