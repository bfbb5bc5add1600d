package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/network"
)

// beingFilled empties a backend that can only be filled from a snapshot, and makes it load slowly.
func beingFilled(t *testing.T, l *links) (*cluster.Node, func()) {
	const keys, delay = 300, 20 * time.Millisecond
	_, follower := l.leaderAndFollower(t)
	check(t, fillOneByOne(within(t, 40*time.Second), follower, keys))
	eventually(t, 40*time.Second, func() error {
		status, err := follower.Status(within(t, time.Second))
		if err == nil && status.GetApplied()-status.GetSnapshot() >= 20 { // the next one is due, and would be of what is emptied
			err = fmt.Errorf("its snapshot is at %d of %d", status.GetSnapshot(), status.GetApplied())
		}
		return err
	})
	backend := follower.Backend.Client(0)
	check(t, backend.ConfigSet(within(t, 40*time.Second), "key-load-delay", fmt.Sprint(delay.Microseconds())).Err())
	check(t, backend.FlushAll(within(t, 40*time.Second)).Err())
	eventually(t, 40*time.Second, func() error {
		err := follower.Ready(within(t, time.Second))
		if err == nil || !strings.Contains(err.Error(), "being filled") {
			return fmt.Errorf("%s does not say that it is being filled: %w", follower.Name, err)
		}
		return nil
	})
	return follower, func() {
		defer backend.Close()
		check(t, follower.AwaitReady(within(t, 40*time.Second)))
		check(t, backend.ConfigSet(within(t, 40*time.Second), "key-load-delay", "0").Err())
	}
}

func fillOneByOne(ctx context.Context, n *cluster.Node, keys int) error {
	c := n.Client(0)
	defer c.Close()
	for i := range keys {
		if err := c.Set(ctx, fmt.Sprint("fill:", i), i, 0).Err(); err != nil {
			return err
		}
	}
	return nil
}

// tookOver lets a node hear nothing, though it speaks, until the others have forgotten the entries that it misses.
func tookOver(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, follower := l.leaderAndFollower(t)
	before := rows(t, leader)
	l.Net.Set(leader.Name, follower.Name, func(r *network.Rule) { r.Cut = true })
	ctx := within(t, 40*time.Second)
	moved := make(chan error, 1)
	go func() {
		moved <- moveOn(ctx, leader, before)
		l.Net.Break(leader.Name, follower.Name) // what was on its way is lost
		l.Net.Heal()
	}()
	return follower, func() { check(t, <-moved) }
}

// rows counts the keys that the tests of the table have written.
func rows(t *testing.T, n *cluster.Node) int {
	t.Helper()
	return len(must(client(t, n, 0).Keys(within(t, 40*time.Second), "row:*").Result())(t))
}

// moveOn waits until another row is written and the log before and some way behind it is gone.
func moveOn(ctx context.Context, n *cluster.Node, before int) error {
	c := n.Client(0)
	defer c.Close()
	for {
		keys, err := c.Keys(ctx, "row:*").Result()
		if err != nil {
			return err
		}
		if len(keys) > before {
			break
		}
	}
	written, err := n.Status(ctx)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if err := c.Set(ctx, "meanwhile", i, 0).Err(); err != nil {
			return err
		}
		status, err := n.Status(ctx)
		if err != nil || status.GetSnapshot() > written.GetApplied()+40 {
			return err
		}
	}
}

// leaderBackendLost kills the leader's backend when it has been sent a write: a pause holds it there.
func leaderBackendLost(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, _ := l.leaderAndFollower(t)
	killed := pauseAndKill(t, leader, false)
	return leader, func() {
		check(t, <-killed)
		check(t, leader.Backend.Start())
	}
}

// leaderBackendBack is the same with a backend that is started again at once.
func leaderBackendBack(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, _ := l.leaderAndFollower(t)
	killed := pauseAndKill(t, leader, true)
	return leader, func() { check(t, <-killed) }
}

func pauseAndKill(t *testing.T, n *cluster.Node, start bool) <-chan error {
	t.Helper()
	check(t, n.Backend.Pause())
	ctx := within(t, 40*time.Second)
	done := make(chan error, 1)
	go func() {
		err := awaitUnapplied(ctx, n)
		err = errors.Join(err, n.Backend.Kill())
		if start {
			err = errors.Join(err, n.Backend.Start())
		}
		done <- err
	}()
	return done
}

// awaitUnapplied waits until something is committed that the node's backend does not hold.
func awaitUnapplied(ctx context.Context, n *cluster.Node) error {
	for {
		status, err := n.Status(ctx)
		if err != nil || status.GetCommit() > status.GetApplied() {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("nothing is committed on %s: %w", n.Name, ctx.Err())
		}
	}
}
