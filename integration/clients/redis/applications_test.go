//go:build clients

package redis

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

var (
	bullmq = library{name: "BullMQ", protocol: 3, argv: nodeProgram("bullmq.js")}
	locks  = library{name: "rate limiter and lock", protocol: 3, argv: nodeProgram("locks.js")}
)

// TestApplications runs the whole workflow of libraries that lean on Lua, at a plain redis-server first. With a cluster,
// what an application has of them is spread over all nodes, beginning at the leader or at a follower.
func TestApplications(t *testing.T) {
	c := startCluster(t)
	plain := startRedis(t)
	leader, others := leaderFirst(t, c)
	for i, l := range []library{bullmq, locks} {
		t.Run(l.name, func(t *testing.T) {
			for _, target := range []struct {
				name  string
				addrs []string
			}{
				{"redis-server", []string{plain.Addr()}},
				{"leader", addresses(leader, others[0], others[1])},
				{"follower", addresses(others[0], others[1], leader)},
			} {
				events := l.run(t, "tour", fmt.Sprintf("app%d-%s", i, target.name), "", target.addrs...).awaitEnd(t, 2*time.Minute)
				did := names(events, "did")
				t.Logf("%s at the %s: %s", names(events, "version")[0], target.name, strings.Join(did, ", "))
			}
		})
	}
	awaitEqual(t, c)
}

// TestBullMQLeaderChange kills the leader, at which one of the workers is, while jobs are added and processed at all nodes.
// BullMQ promises that each job is processed at least once, and completed once.
func TestBullMQLeaderChange(t *testing.T) {
	c := startCluster(t)
	leader, others := leaderFirst(t, c)
	p := bullmq.run(t, "work", "bull", "", addresses(leader, others[0], others[1])...)
	changeLeader(t, c, leader, func(when string) { awaitCount(t, p, "took", "job", 60, when) })
	check(t, p.stdin.Close())
	events := p.awaitEnd(t, 90*time.Second)
	acked, unknown := ids(events, "ack")["job"], ids(events, "unknown")["job"]
	took, completed := ids(events, "took")["job"], ids(events, "completed")["job"]
	again := 0
	for id := range acked {
		if took[id] == 0 || completed[id] != 1 {
			t.Errorf("job %s was added, processed %d times and completed %d times", id, took[id], completed[id])
		}
	}
	for id, n := range took {
		if acked[id]+unknown[id] == 0 {
			t.Errorf("job %s was processed and never added", id)
		}
		again += n - 1
	}
	t.Logf("%s: %d jobs added, %d more of unknown outcome, %d processed, %d of them again", names(events, "version")[0],
		len(acked), len(unknown), len(took), again)
	awaitEqual(t, c)
}

// TestLocksLeaderChange lets three programs share a limit and a lock while the leader is killed under one of them.
func TestLocksLeaderChange(t *testing.T) {
	c := startCluster(t)
	leader, others := leaderFirst(t, c)
	nodes := []*cluster.Node{leader, others[0], others[1]}
	var programs []*program
	for i := range nodes {
		from := append(slices.Clone(nodes[i:]), nodes[:i]...)
		programs = append(programs, locks.run(t, "work", "locks", fmt.Sprint(i), addresses(from...)...))
	}
	changeLeader(t, c, leader, func(when string) {
		for _, p := range programs {
			awaitCount(t, p, "ack", "lock", 5, when)
		}
	})
	var events []event
	for _, p := range programs {
		check(t, p.stdin.Close())
	}
	for _, p := range programs {
		events = append(events, p.awaitEnd(t, time.Minute)...)
	}
	acked, unknown := ids(events, "ack"), ids(events, "unknown")
	db := others[0].Client(0)
	defer db.Close()
	sum, err := db.Get(within(t, 10*time.Second), "locks:sum").Int()
	check(t, err)
	if most := len(acked["lock"]) + len(unknown["lock"]); sum < len(acked["lock"]) || sum > most {
		t.Errorf("the counter under the lock is %d, want %d to %d", sum, len(acked["lock"]), most)
	}
	if n := len(acked["limit"]); n > 300 {
		t.Errorf("%d points were taken, the limit is 300", n)
	}
	t.Logf("%s: %d times locked, %d unknown; %d points taken, %d unknown, %d refused", names(events, "version")[0],
		len(acked["lock"]), len(unknown["lock"]), len(acked["limit"]), len(unknown["limit"]), len(acked["refused"]))
	awaitEqual(t, c)
}

// TestRedisCLI runs a script of a shell that uses redis-cli.
func TestRedisCLI(t *testing.T) {
	c := startCluster(t)
	plain := startRedis(t)
	leader, others := leaderFirst(t, c)
	for _, target := range []struct{ name, addr string }{
		{"redis-server", plain.Addr()}, {"leader", leader.Addr()}, {"follower", others[0].Addr()},
	} {
		_, port, _ := strings.Cut(target.addr, ":")
		cmd := exec.CommandContext(within(t, time.Minute), "bash", "cli.sh", port)
		cmd.Dir = "programs"
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("at the %s: %v\n%s", target.name, err, out)
		}
		t.Logf("redis-cli at the %s: %s", target.name, strings.TrimSpace(string(out)))
	}
	awaitEqual(t, c)
}

// TestRedisCLILeaderChange has one redis-cli append to a list at a follower while the leader is killed. It knows no
// retries: each line that it reads is sent once.
func TestRedisCLILeaderChange(t *testing.T) {
	c := startCluster(t)
	leader, others := leaderFirst(t, c)
	_, port, _ := strings.Cut(others[0].Addr(), ":")
	p := start(t, "bash", "cli_work.sh", port)
	changeLeader(t, c, leader, func(when string) { awaitCount(t, p, "ack", "list", 20, when) })
	check(t, p.stdin.Close())
	events := p.awaitEnd(t, time.Minute)
	db := others[0].Client(0)
	defer db.Close()
	found := map[string]int{}
	list, err := db.LRange(within(t, 10*time.Second), "cli:list", 0, -1).Result()
	check(t, err)
	for _, id := range list {
		found[id]++
	}
	acked, unknown := ids(events, "ack")["list"], ids(events, "unknown")["list"]
	judgeFound(t, "cli:list", false, acked, unknown, found)
	t.Logf("redis-cli: %d elements acknowledged, %d of unknown outcome", len(acked), len(unknown))
	awaitEqual(t, c)
}

// changeLeader kills the leader, brings it back, and hands leadership to it, and awaits progress before and after each.
func changeLeader(t *testing.T, c *cluster.Cluster, leader *cluster.Node, awaitProgress func(when string)) {
	t.Helper()
	awaitProgress("at first")
	check(t, leader.Kill())
	awaitProgress("after the leader was killed")
	check(t, leader.StartReady(within(t, time.Minute)))
	awaitProgress("after the node was started again")
	transfer(t, c, leader)
	awaitProgress("after leadership was handed over")
}

// awaitCount waits until a program has n more events of a kind.
func awaitCount(t *testing.T, p *program, kind, name string, n int, when string) {
	t.Helper()
	goal := count(p.all(), kind)[name] + n
	deadline := time.Now().Add(time.Minute)
	for count(p.all(), kind)[name] < goal {
		check(t, p.broken())
		if time.Now().After(deadline) {
			t.Fatalf("%s, %v makes no progress: %d %s, want %d; its last events: %v",
				when, p.cmd.Args, count(p.all(), kind)[name], kind, goal, last(p.all(), 5))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func leaderFirst(t *testing.T, c *cluster.Cluster) (*cluster.Node, []*cluster.Node) {
	t.Helper()
	leader, err := c.Leader(within(t, 30*time.Second))
	check(t, err)
	return leader, slices.DeleteFunc(slices.Clone(c.Nodes), func(n *cluster.Node) bool { return n == leader })
}

func addresses(nodes ...*cluster.Node) []string {
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}
