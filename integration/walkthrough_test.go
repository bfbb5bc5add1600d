package integration

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// repl runs the operator's command line against a node and returns what it prints.
func repl(t *testing.T, n *cluster.Node, args ...string) (string, error) {
	t.Helper()
	args = append([]string{n.GRPCAddr()}, args...)
	cmd := exec.CommandContext(within(t, 40*time.Second), replBinary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return strings.TrimSuffix(stdout.String()+stderr.String(), "\n"), err
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// TestWalkthrough follows the README's examples of the command line, word for word.
func TestWalkthrough(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for i, n := range c.Nodes {
		if i > 0 {
			check(t, client(t, n, 2).FlushDB(within(t, 40*time.Second)).Err())
		}
		for _, step := range []struct{ verb, script, want string }{
			{"save", "return redis.call('set', 'hello', 'world')", "OK"},
			{"save", "return redis.call('incr', 'ctr')", "1"},
			{"save", "return redis.call('incr', 'ctr')", "2"},
			{"load", "return redis.call('keys', '*')", "[ctr hello]"},
			{"load", "return redis.call('get', 'ctr')", "2"},
		} {
			got, err := repl(t, n, "redis", step.verb, "db.index=2", step.script)
			if want := fmt.Sprintf("Response from Redis (without quotes): '%s'", step.want); err != nil || got != want {
				t.Errorf("%s: repl redis %s %q prints %q, %v, want %q", n.Name, step.verb, step.script, got, err, want)
			}
		}
	}
	for _, bad := range [][]string{
		{"redis", "load", "db.index=2", "return redis.call('set', 'hello', 'changed')"},
		{"redis", "save", "db.index=2", "return redis.call('nosuch')"},
		{"redis", "save", "db.index=13", "return redis.call('set', 'raft.state', 'x')"},
		{"redis", "save", "db.index=2", "this is not Lua"},
		{"redis", "drop"}, {"nosuch"}, {},
	} {
		if out, err := repl(t, c.Nodes[0], bad...); err == nil {
			t.Errorf("repl %q succeeds: %s", bad, out)
		}
	}
	ctx := within(t, 40*time.Second)
	if got, err := client(t, c.Nodes[2], 2).Get(ctx, "hello").Result(); err != nil || got != "world" {
		t.Errorf("hello is %q, %v", got, err)
	}
	if _, err := c.AwaitEqual(ctx); err != nil {
		t.Error(err)
	}
}

// TestMembership adds a fourth node under load and removes first a follower, then the leader.
func TestMembership(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	first := c.Nodes[0]
	expectMembers(t, first, c.Nodes, "listNodes")
	l := startLoad(t, slices.Clone(c.Nodes), 4)
	l.awaitProgress(t, 200)

	fourth := must(c.AddNode())(t)
	check(t, fourth.Backend.StartReady(within(t, 40*time.Second)))
	check(t, fourth.Start())
	expectMembers(t, first, c.Nodes, "addNode", fourth.URL())
	check(t, fourth.AwaitReady(within(t, 40*time.Second)))
	l.awaitProgress(t, 200)
	expectMembers(t, fourth, c.Nodes, "listNodes")

	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	i := slices.IndexFunc(c.Nodes, func(n *cluster.Node) bool { return n != leader && n != fourth })
	removed := c.Nodes[i]
	rest := survivors(c, removed)
	expectMembers(t, fourth, rest, "removeNode", removed.URL())
	stopsServing(t, removed)

	leader = must(c.Leader(within(t, 40*time.Second), removed))(t)
	rest = slices.DeleteFunc(rest, func(n *cluster.Node) bool { return n == leader })
	expectMembers(t, leader, rest, "removeNode", leader.URL())
	stopsServing(t, leader)
	l.awaitProgress(t, 200)
	l.finish()

	check(t, removed.Kill())
	check(t, leader.Kill())
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
	if err := removed.StartReady(within(t, 5*time.Second)); err == nil {
		t.Error("a removed node serves again after a restart")
	} else if !strings.Contains(err.Error(), "removed") {
		t.Errorf("a removed node does not say so: %v", err)
	}
}

// stopsServing checks that a removed node refuses, for that reason.
func stopsServing(t *testing.T, n *cluster.Node) {
	t.Helper()
	c := client(t, n, 0)
	eventually(t, 40*time.Second, func() error {
		if err := c.Get(within(t, time.Second), "ctr:0").Err(); err == nil {
			return fmt.Errorf("%s still answers after it was removed", n.Name)
		}
		return nil
	})
	if output := n.Output(); !strings.Contains(output, "removed") {
		t.Errorf("%s does not say why it stopped serving:\n%s", n.Name, output)
	}
}

var memberLine = regexp.MustCompile(`^[0-9a-f]{1,16} => (http://[0-9.:]+)( \(leader\))?$`)

// expectMembers runs a verb that prints the members and compares them with nodes.
func expectMembers(t *testing.T, at *cluster.Node, nodes []*cluster.Node, args ...string) {
	t.Helper()
	var want []string
	for _, n := range nodes {
		want = append(want, n.URL())
	}
	slices.Sort(want)
	out, err := repl(t, at, args...)
	if err != nil {
		t.Fatalf("repl %q: %v: %s", args, err, out)
	}
	lines := strings.Split(out, "\n")
	if lines[0] != "Current cluster members:" {
		t.Fatalf("repl %q prints %q", args, out)
	}
	var got []string
	leaders := 0
	for _, line := range lines[1:] {
		match := memberLine.FindStringSubmatch(line)
		if match == nil {
			t.Fatalf("repl %q prints the line %q", args, line)
		}
		got = append(got, match[1])
		if match[2] != "" {
			leaders++
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || leaders != 1 {
		t.Errorf("repl %q prints members %q with %d leaders, want %q with one", args, got, leaders, want)
	}
}
