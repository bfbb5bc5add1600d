package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// blockedOn returns a client of n that may wait for long.
func blockedOn(t *testing.T, n *cluster.Node, pool int) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, ReadTimeout: time.Minute, PoolSize: pool, PoolTimeout: time.Minute})
	t.Cleanup(func() { c.Close() })
	return c
}

// awaitBlocked waits until n says that so many of its clients wait.
func awaitBlocked(t *testing.T, n *cluster.Node, want int) {
	t.Helper()
	db := client(t, n, 0)
	eventually(t, 40*time.Second, func() error {
		info, err := db.Info(within(t, 40*time.Second), "clients").Result()
		if err == nil && !strings.Contains(info, fmt.Sprintf("blocked_clients:%d\r\n", want)) {
			_, is, _ := strings.Cut(info, "blocked_clients:")
			err = fmt.Errorf("%s: %.4q clients wait, want %d", n.Name, is, want)
		}
		return err
	})
}

// pop is a BLPOP that runs.
type pop struct {
	done  chan struct{}
	value string
	err   error
}

func startPop(ctx context.Context, db *redis.Client, timeout time.Duration, keys ...string) *pop {
	p := &pop{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		var kv []string
		if kv, p.err = db.BLPop(ctx, timeout, keys...).Result(); p.err == nil {
			p.value = kv[1]
		}
	}()
	return p
}

func TestBlockedClientsOfAllNodesAreServedInOrder(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	var pops []*pop
	counts := make([]int, len(c.Nodes))
	for i := range 12 {
		n := i % len(c.Nodes)
		pops = append(pops, startPop(ctx, blockedOn(t, c.Nodes[n], 1), 0, "k"))
		counts[n]++
		awaitBlocked(t, c.Nodes[n], counts[n])
	}
	db := client(t, c.Nodes[1], 0)
	for i := range pops {
		check(t, db.RPush(ctx, "k", i).Err())
		if n := must(db.LLen(ctx, "k").Result())(t); n != 0 {
			t.Errorf("an element is seen that %d clients wait for", len(pops)-i-1)
		}
	}
	for i, p := range pops {
		<-p.done
		if p.err != nil || p.value != fmt.Sprint(i) {
			t.Errorf("client %d got %q, %v", i, p.value, p.err)
		}
	}
}

// TestLeaderDiesWithBlockedClients: each element that was pushed is popped once, or still there.
func TestLeaderDiesWithBlockedClients(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 120*time.Second)
	leader := must(c.Leader(ctx))(t)
	rest := survivors(c, leader)
	const each = 25
	var pops []*pop
	for _, n := range rest {
		db := blockedOn(t, n, each)
		for range each {
			pops = append(pops, startPop(ctx, db, 0, "k"))
		}
		awaitBlocked(t, n, each)
	}
	onLeader := startPop(ctx, blockedOn(t, leader, 1), 0, "k")
	awaitBlocked(t, leader, 1)

	// Pushes go on while the leader dies.
	var pushed, maybe []string
	killed := make(chan struct{})
	db := client(t, rest[0], 0)
	for i := range 2 * each {
		if i == each {
			go func() {
				defer close(killed)
				_ = leader.Kill()
			}()
		}
		for {
			value := fmt.Sprint(i)
			err := db.RPush(ctx, "k", value).Err()
			if outcomeOf(err) == notDone {
				continue
			}
			if err == nil {
				pushed = append(pushed, value)
			} else {
				maybe = append(maybe, value)
			}
			break
		}
	}
	<-killed
	<-onLeader.done
	// Those who wait still get something that is not counted.
	for range pops {
		check(t, db.RPush(ctx, "k", "end").Err())
	}
	popped := make(map[string]int)
	if onLeader.err == nil {
		popped[onLeader.value]++
	}
	lost := 0
	for i, p := range pops {
		select {
		case <-p.done:
		case <-ctx.Done():
			t.Fatalf("client %d still waits", i)
		}
		if p.err != nil {
			t.Errorf("client %d: %v", i, p.err)
		} else {
			popped[p.value]++
		}
	}
	left := must(db.LRange(ctx, "k", 0, -1).Result())(t)
	for _, v := range append(pushed, maybe...) {
		n := popped[v]
		for _, l := range left {
			if l == v {
				n++
			}
		}
		switch {
		case n > 1:
			t.Errorf("%s was popped, or is there, %d times", v, n)
		case n == 0 && slices.Contains(pushed, v):
			lost++
		}
	}
	// What was popped for the client of the leader may have died with its connection.
	if allowed := 1; lost > allowed {
		t.Errorf("%d elements are lost", lost)
	}
	check(t, leader.StartReady(ctx))
	must(c.AwaitEqual(within(t, 40*time.Second)))(t)
}

// TestBlockedClientAndItsNodeDie: nothing is popped for a client, or for clients of a node, that died.
func TestBlockedClientAndItsNodeDie(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	leader, follower := must(c.Leader(ctx))(t), must(c.Follower(ctx))(t)
	db := client(t, leader, 0)
	for _, n := range []*cluster.Node{leader, follower} {
		conn := dialRaw(t, n.Addr(), 2)
		must(conn.conn.Write([]byte("*3\r\n$5\r\nBLPOP\r\n$1\r\nk\r\n$1\r\n0\r\n")))(t)
		awaitBlocked(t, n, 1)
		check(t, conn.conn.Close())
		awaitBlocked(t, n, 0)
		if got := pushPop(ctx, t, db); got != "x" {
			t.Errorf("%s: %q is left", n.Name, got)
		}
	}
	const many = 50
	waiting := blockedOn(t, follower, many)
	for range many {
		startPop(ctx, waiting, 0, "k")
	}
	awaitBlocked(t, follower, many)
	check(t, follower.Kill())
	// The leader may need a moment to see the connection closed.
	lost := 0
	for pushPop(ctx, t, db) != "x" {
		lost++
	}
	t.Logf("%d popped before the leader saw that the node is gone", lost)
	if lost > many/5 {
		t.Errorf("%d popped for clients of a node that was killed", lost)
	}
}

func pushPop(ctx context.Context, t *testing.T, db *redis.Client) string {
	t.Helper()
	check(t, db.RPush(ctx, "k", "x").Err())
	got, err := db.LPop(ctx, "k").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	return got
}

// TestBlockingTimeouts: pushes and timeouts race, and nothing is popped for who was told that there is nothing.
func TestBlockingTimeouts(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	var mu sync.Mutex
	popped := make(map[string]int)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 12 {
		conn := dialRaw(t, c.Nodes[i%3].Addr(), 2)
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				reply, err := conn.do([]string{"BLPOP", "k", fmt.Sprintf("0.0%d", 1+n%9)})
				if err != nil {
					t.Error(err)
					return
				}
				words := strings.Split(string(reply), "\r\n")
				switch {
				case string(reply) == "*-1\r\n":
				case len(words) > 4:
					mu.Lock()
					popped[words[4]]++
					mu.Unlock()
				default:
					t.Errorf("%q", reply)
				}
			}
		})
	}
	db := client(t, c.Nodes[2], 0)
	const n = 300
	for i := range n {
		check(t, db.RPush(ctx, "k", i).Err())
		time.Sleep(time.Duration(i%7) * time.Millisecond) // so that some find nobody
	}
	eventually(t, 40*time.Second, func() error {
		if left, err := db.LLen(ctx, "k").Result(); err != nil || left > 0 {
			return fmt.Errorf("%d are left: %w", left, err)
		}
		return nil
	})
	close(stop)
	wg.Wait()
	for i := range n {
		if got := popped[fmt.Sprint(i)]; got != 1 {
			t.Errorf("%d was popped %d times", i, got)
		}
	}
	must(c.AwaitEqual(within(t, 40*time.Second)))(t)
}

// A client that a transaction unblocks or kills is not served with what the same transaction brings.
func TestTransactionLetsGoFirst(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	for _, n := range c.Nodes {
		db := client(t, n, 0)
		for _, how := range []string{"UNBLOCK", "KILL ID"} {
			for _, before := range []bool{true, false} {
				check(t, db.Del(ctx, "list").Err())
				waits := blockedOn(t, n, 1).Conn(ctx)
				id := must(waits.ClientID(ctx).Result())(t)
				ended := make(chan error, 1)
				go func() { ended <- waits.BLPop(ctx, 0, "list").Err() }()
				awaitBlocked(t, n, 1)
				words := []any{"CLIENT"}
				for _, w := range strings.Fields(how) {
					words = append(words, w)
				}
				var let *redis.Cmd
				_, err := db.TxPipelined(ctx, func(tx redis.Pipeliner) error {
					if !before {
						tx.RPush(ctx, "list", "x")
					}
					let = tx.Do(ctx, append(words, id)...)
					tx.RPush(ctx, "list", "y")
					return nil
				})
				check(t, err)
				if <-ended == nil {
					t.Errorf("%s: CLIENT %s, and the client was served", n.Name, how)
				}
				if let.Val() != int64(1) {
					t.Errorf("%s: CLIENT %s answered %v", n.Name, how, let.Val())
				}
				want := int64(2)
				if before {
					want = 1
				}
				if got := must(db.LLen(ctx, "list").Result())(t); got != want {
					t.Errorf("%s: CLIENT %s left %d elements, want %d", n.Name, how, got, want)
				}
				waits.Close()
			}
		}
	}
}
