package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// letsIn fails where a node does not let a user in, or one whose password is not right, at the first try.
func letsIn(t *testing.T, nodes []*cluster.Node, user, password string, want bool) {
	t.Helper()
	for _, n := range nodes {
		db := userClient(t, n, user, password)
		var err error
		eventually(t, 40*time.Second, func() error { // a node that finds its backend empty says so after a moment in which it was ready
			if err = db.Ping(within(t, 10*time.Second)).Err(); err != nil && strings.HasPrefix(err.Error(), "TRYAGAIN") {
				return err
			}
			return nil
		})
		if want && err != nil || !want && (err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS")) {
			t.Errorf("%s: %s: %v, want in: %v", n.Name, user, err, want)
		}
		db.Close()
	}
}

func setUser(t *testing.T, n *cluster.Node, args ...any) {
	t.Helper()
	check(t, client(t, n, 0).Do(within(t, 10*time.Second), append([]any{"ACL"}, args...)...).Err())
}

// TestSetUser: what ACL SETUSER and DELUSER change on one node holds on all, from the moment of the answer, and survives what
// data survives.
func TestSetUser(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 120*time.Second)
	follower := must(c.Follower(ctx))(t)
	setUser(t, follower, "SETUSER", "bob", "on", ">one", "+@all", "~*", "&*")
	letsIn(t, c.Nodes, "bob", "one", true)
	for i := range 20 {
		old, next := "one", fmt.Sprint("two", i)
		if i > 0 {
			old = fmt.Sprint("two", i-1)
		}
		setUser(t, c.Nodes[i%3], "SETUSER", "bob", "resetpass", ">"+next)
		letsIn(t, c.Nodes, "bob", next, true)
		letsIn(t, c.Nodes, "bob", old, false)
	}

	var wg sync.WaitGroup
	const each = 10
	for i, n := range c.Nodes {
		wg.Go(func() {
			for j := range each {
				setUser(t, n, "SETUSER", "eve", fmt.Sprintf("~%d-%d", i, j))
			}
		})
	}
	wg.Wait()
	if list := fmt.Sprint(must(client(t, follower, 0).Do(ctx, "ACL", "LIST").Result())(t)); strings.Count(list, "~") != each*3+2 {
		t.Errorf("not every change is there: %s", list)
	}

	leader := must(c.Leader(ctx))(t)
	check(t, leader.Kill())
	rest := survivors(c, leader)
	eventually(t, 40*time.Second, func() error {
		return client(t, rest[0], 0).Do(ctx, "ACL", "SETUSER", "amy", "on", ">amy", "+ping").Err()
	})
	setUser(t, rest[1], "DELUSER", "eve")
	letsIn(t, rest, "amy", "amy", true)
	check(t, leader.StartReady(within(t, 40*time.Second)))
	letsIn(t, c.Nodes, "amy", "amy", true)

	follower = must(c.Follower(ctx))(t)
	check(t, follower.Backend.Kill())
	follower.Backend = must(cluster.NewRedis(follower.Backend.Name, must(os.MkdirTemp(t.TempDir(), ""))(t), follower.Backend.Port))(t)
	check(t, follower.Backend.StartReady(within(t, 10*time.Second)))
	check(t, follower.AwaitReady(within(t, 40*time.Second)))
	letsIn(t, c.Nodes, "amy", "amy", true)

	file := filepath.Join(t.TempDir(), "backup")
	if out, err := repl(t, survivors(c, follower)[0], "backup", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, c.Stop(10*time.Second))
	for _, n := range c.Nodes {
		check(t, n.Backend.StartReady(within(t, 10*time.Second)))
		check(t, n.Start())
	}
	for _, n := range c.Nodes {
		check(t, n.AwaitReady(within(t, 40*time.Second)))
	}
	letsIn(t, c.Nodes, "amy", "amy", true)
	letsIn(t, c.Nodes, "eve", "any", false)
	must(c.AwaitEqual(within(t, 40*time.Second)))(t)

	restored := newCluster(t, cluster.Options{Size: 1, Name: "restored"})
	n := restored.Nodes[0]
	check(t, n.Backend.StartReady(within(t, 10*time.Second)))
	n.Args = append(n.Args[:len(n.Args):len(n.Args)], "-restore", file)
	check(t, n.StartReady(within(t, 40*time.Second)))
	eventually(t, 40*time.Second, func() error { // it has still to find that its backend is empty
		return userClient(t, n, "bob", "two19").Ping(within(t, 10*time.Second)).Err()
	})
	second := must(restored.AddNode())(t)
	check(t, second.Backend.StartReady(within(t, 10*time.Second)))
	check(t, second.Start())
	if out, err := repl(t, n, "addNode", second.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, second.AwaitReady(within(t, 40*time.Second)))
	letsIn(t, restored.Nodes, "bob", "two19", true)
	setUser(t, second, "SETUSER", "default", "off")
	for _, n := range restored.Nodes {
		eventually(t, 40*time.Second, func() error {
			err := client(t, n, 0).Get(ctx, "x").Err()
			if err == nil || errors.Is(err, redis.Nil) {
				t.Fatalf("%s answers who has not logged in", n.Name)
			}
			if !strings.HasPrefix(err.Error(), "NOAUTH") { // TRYAGAIN, while the node has not applied the change
				return err
			}
			return nil
		})
	}
}
