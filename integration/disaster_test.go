package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestBackupAndRestore takes a backup under load and begins a new cluster with it.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	db := client(t, c.Nodes[0], 3)
	for i := range 50 {
		check(t, db.Set(within(t, 40*time.Second), fmt.Sprint("k:", i), i, 0).Err())
	}
	check(t, db.Set(within(t, 40*time.Second), "limited", "v", time.Hour).Err())
	l := startLoad(t, c.Nodes, 4)
	file := filepath.Join(t.TempDir(), "backup")
	for _, n := range c.Nodes { // the leader and followers
		if out, err := repl(t, n, "backup", file, "-force", "-json"); err != nil || !json.Valid([]byte(out)) {
			t.Fatalf("%v: %s", err, out)
		}
	}
	l.finish()

	restored := newCluster(t, cluster.Options{Size: 1, Name: "restored"})
	n := restored.Nodes[0]
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	args := n.Args
	n.Args = append(args[:len(args):len(args)], "-restore", file)
	check(t, n.StartReady(within(t, 40*time.Second)))
	db = client(t, n, 3)
	eventually(t, 40*time.Second, func() error { return readOr(t, db, "k:49", "49") })
	if ttl := must(db.TTL(within(t, 40*time.Second), "limited").Result())(t); ttl < 50*time.Minute || ttl > time.Hour {
		t.Errorf("TTL is %v after the restore", ttl)
	}
	check(t, db.Set(within(t, 40*time.Second), "new", "1", 0).Err())

	// A second start with -restore does not overwrite what has happened since; one without goes on.
	check(t, n.Stop(10*time.Second))
	check(t, n.Start())
	<-n.Exited()
	if !strings.Contains(n.Output(), "is not empty") {
		t.Errorf("a second -restore ended with\n%s", n.Output())
	}
	n.Args = args
	check(t, n.StartReady(within(t, 40*time.Second)))
	eventually(t, 40*time.Second, func() error { return readOr(t, db, "new", "1") })

	second := must(restored.AddNode())(t)
	check(t, second.Backend.StartReady(within(t, 40*time.Second)))
	check(t, second.Start())
	if out, err := repl(t, n, "addNode", second.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(restored.AwaitEqual(within(t, 40*time.Second)))(t)
}

// TestQuorumLost loses two of three nodes for good and goes on with the third.
func TestQuorumLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t, often...)
	ctx := within(t, 60*time.Second)
	db := client(t, c.Nodes[0], 0)
	for i := range 200 {
		check(t, db.Incr(ctx, "n").Err())
		if i == 100 {
			eventually(t, 40*time.Second, snapshotAbove(t, c.Nodes[1], 0))
		}
	}
	must(c.AwaitEqual(within(t, 40*time.Second)))(t)
	for _, n := range c.Nodes {
		check(t, n.Kill())
	}
	for _, n := range []*cluster.Node{c.Nodes[0], c.Nodes[2]} {
		check(t, n.Backend.Kill())
		check(t, os.RemoveAll(n.DataDir))
	}
	survivor := c.Nodes[1]
	args := survivor.Args
	survivor.Args = append(args[:len(args):len(args)], "-nexus-force-new-cluster")
	check(t, survivor.Start())
	<-survivor.Exited()
	if err := survivor.Err(); err != nil || !strings.Contains(survivor.Output(), "NEVER START THIS NODE AGAIN") {
		t.Fatalf("%v\n%s", err, survivor.Output())
	}
	survivor.Args = args
	check(t, survivor.StartReady(within(t, 40*time.Second)))
	db = client(t, survivor, 0)
	if n := must(db.Incr(ctx, "n").Result())(t); n != 201 {
		t.Errorf("counter is %d, want 201", n)
	}

	// A lost machine comes back empty, as a new member.
	fresh := must(c.AddNode())(t)
	check(t, fresh.Backend.StartReady(within(t, 40*time.Second)))
	check(t, fresh.Start())
	if out, err := repl(t, survivor, "addNode", fresh.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, fresh.AwaitReady(within(t, 40*time.Second)))
	eventually(t, 40*time.Second, func() error { return readOr(t, client(t, fresh, 0), "n", "201") })
}
