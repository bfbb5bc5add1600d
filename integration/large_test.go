package integration

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestLargeProposals writes values near the limits through a follower: they must not hold up the heartbeats so long that
// the leader is lost, and they are in the snapshots that fill a backend and a new node.
func TestLargeProposals(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	follower := must(c.Follower(within(t, 40*time.Second)))(t)
	before := must(leader.Status(within(t, 40*time.Second)))(t)
	ctx := within(t, 90*time.Second)
	db := client(t, follower, 0)
	for _, key := range []string{"a", "b", "c"} {
		check(t, db.Set(ctx, key, strings.Repeat(key, 48<<20), 0).Err())
	}
	_, err := db.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range []string{"t1", "t2"} {
			p.Set(ctx, key, strings.Repeat("t", 30<<20), 0)
		}
		return nil
	})
	check(t, err)
	if after := must(leader.Status(ctx))(t); after.GetTerm() != before.GetTerm() {
		t.Errorf("term %d, was %d: the leader was lost over large values", after.GetTerm(), before.GetTerm())
	}
	out, err := repl(t, follower, "snapshot")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, follower.Backend.Kill())
	check(t, follower.Backend.StartReady(within(t, 40*time.Second)))
	added := must(c.AddNode())(t)
	check(t, added.Backend.StartReady(within(t, 40*time.Second)))
	check(t, added.Start())
	expectMembers(t, leader, c.Nodes, "addNode", added.URL())
	check(t, c.AwaitReady(within(t, 40*time.Second)))
	for key, want := range map[string]int64{"a": 48 << 20, "c": 48 << 20, "t2": 30 << 20} {
		if got, err := client(t, added, 0).StrLen(ctx, key).Result(); got != want || err != nil {
			t.Errorf("%s has %d bytes, %v, want %d", key, got, err, want)
		}
	}
	if out, err := repl(t, added, "verify"); err != nil || strings.Count(out, "equal") != 4 {
		t.Errorf("verify: %v: %s", err, out)
	}
}

// TestLargestString sets a string as large as Redis allows, less what is appended to it, and changes it. It is not parallel to
// others: it takes some gigabytes.
func TestLargestString(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some gigabytes")
	}
	// On a busy machine a server that is forked for a snapshot takes seconds to copy such a string.
	c := newCluster(t, cluster.Options{Flags: []string{"-nexus-repl-timeout", "60s"}})
	check(t, c.StartReady(within(t, 40*time.Second)))
	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	ctx := within(t, 3*time.Minute)
	db := redis.NewClient(&redis.Options{Addr: leader.Addr(), ReadTimeout: 2 * time.Minute, WriteTimeout: 2 * time.Minute, MaxRetries: -1})
	defer db.Close()
	const size = 512 << 20
	check(t, db.Set(ctx, "s", bytes.Repeat([]byte("0123456789abcde\n"), size/16-1), 0).Err())
	if n, err := db.Append(ctx, "s", "the last bytes.\n").Result(); n != size || err != nil {
		t.Fatalf("APPEND: %d bytes, %v, want %d", n, err, size)
	}
	if n, err := db.SetRange(ctx, "s", size/2, "here").Result(); n != size || err != nil {
		t.Fatalf("SETRANGE: %d bytes, %v, want %d", n, err, size)
	}
	if err := db.Append(ctx, "s", "x").Err(); err == nil || !strings.Contains(err.Error(), "string exceeds maximum allowed size") {
		t.Errorf("APPEND beyond the limit: %v", err)
	}
	got, err := db.Get(ctx, "s").Bytes()
	check(t, err)
	if len(got) != size || !bytes.HasPrefix(got[size/2:], []byte("here456789abcde\n0123")) || !bytes.HasSuffix(got, []byte("abcde\nthe last bytes.\n")) {
		t.Errorf("GET: %d bytes, not those that were set", len(got))
	}
	for _, n := range c.Nodes {
		if got, err := client(t, n, 0).StrLen(ctx, "s").Result(); got != size || err != nil {
			t.Errorf("node %s has %d bytes, %v", n.URL(), got, err)
		}
	}
}
