package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// backendKill ends a redis-server, which keeps nothing, and starts an empty one.
func backendKill(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	n, release, ok := l.take(ctx, s.role, rng, backend)
	if !ok {
		return nothing, nil
	}
	defer release()
	if err := n.Backend.Kill(); err != nil {
		return n.Backend.Name, err
	}
	sleep(ctx, s.lasts)
	return n.Backend.Name, n.Backend.Start()
}

func backendPause(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	n, release, ok := l.take(ctx, s.role, rng, backend)
	if !ok {
		return nothing, nil
	}
	defer release()
	if err := n.Backend.Pause(); err != nil {
		return n.Backend.Name, err
	}
	sleep(ctx, s.lasts)
	return n.Backend.Name, n.Backend.Resume()
}

// clockJump puts the wall clock of a node forward or back, and then right again, which is a jump too.
func clockJump(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	n := l.pick(ctx, s.role, rng)
	if n == nil {
		n = l.Nodes[rng.IntN(len(l.Nodes))]
	}
	offset := []time.Duration{
		200 * time.Millisecond, -200 * time.Millisecond, 3 * time.Second, -3 * time.Second, -time.Hour, -24 * 365 * time.Hour,
	}[rng.IntN(6)]
	what := fmt.Sprintf("%s by %v", n.Name, offset)
	if err := l.setClock(n, offset); err != nil {
		return what, err
	}
	sleep(ctx, s.lasts)
	return what, l.setClock(n, 0)
}

// snapshots has nodes take one after the other.
func snapshots(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	taken := 0
	again(ctx, s.lasts, 50*time.Millisecond, func(ctx context.Context) {
		if ask(ctx, l.Nodes[rng.IntN(len(l.Nodes))], time.Second, func(ctx context.Context, c nexuspb.NexusClient) error {
			_, err := c.Snapshot(ctx, &nexuspb.SnapshotRequest{})
			return err
		}) == nil {
			taken++
		}
	})
	return fmt.Sprintf("%d taken", taken), nil
}

// verify compares the data of all nodes again and again. That they differ is a failure of the cluster.
func verify(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	done := 0
	var different error
	again(ctx, s.lasts, 100*time.Millisecond, func(ctx context.Context) {
		err := ask(ctx, l.Nodes[rng.IntN(len(l.Nodes))], 2*time.Second, func(ctx context.Context, c nexuspb.NexusClient) error {
			answer, err := c.Verify(ctx, &nexuspb.VerifyRequest{})
			for _, m := range answer.GetMembers() {
				if len(m.GetDifferences()) > 0 {
					different = fmt.Errorf("verify finds %s different: %v", m.GetUrl(), m.GetDifferences())
				}
			}
			return err
		})
		if err == nil {
			done++
		}
	})
	return fmt.Sprintf("%d done", done), different
}

// transfers moves the leadership about.
func transfers(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	moved := 0
	again(ctx, s.lasts, 200*time.Millisecond, func(ctx context.Context) {
		to := l.Nodes[rng.IntN(len(l.Nodes))].URL()
		if ask(ctx, l.Nodes[rng.IntN(len(l.Nodes))], time.Second, func(ctx context.Context, c nexuspb.NexusClient) error {
			_, err := c.TransferLeader(ctx, &nexuspb.TransferLeaderRequest{Url: to})
			return err
		}) == nil {
			moved++
		}
	})
	return fmt.Sprintf("%d done", moved), nil
}

// again does something for a while, with pauses.
func again(ctx context.Context, lasts, pause time.Duration, do func(context.Context)) {
	ctx, cancel := until(ctx, lasts)
	defer cancel()
	for ctx.Err() == nil {
		do(ctx)
		sleep(ctx, pause+rand.N(pause))
	}
}

// ask calls f with the admin service of a node.
func ask(ctx context.Context, n *cluster.Node, patience time.Duration, f func(context.Context, nexuspb.NexusClient) error) error {
	ctx, cancel := until(ctx, patience)
	defer cancel()
	return n.Admin(func(c nexuspb.NexusClient) error { return f(ctx, c) })
}

// replace loses a node with its disk and its backend, starts it with nothing, and has it put in the place of what it was.
func replace(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	if !l.replacing.TryLock() {
		return nothing, nil
	}
	defer l.replacing.Unlock()
	n, release, ok := l.take(ctx, s.role, rng, own, backend)
	if !ok {
		return nothing, nil
	}
	defer release()
	for _, do := range []func() error{
		n.Kill, n.Backend.Kill, func() error { return os.RemoveAll(n.DataDir) }, n.Backend.Start, n.Start,
	} {
		if err := do(); err != nil {
			return n.Name, err
		}
	}
	// Until it is done: half of it would not be mended by anything else.
	ctx, cancel := until(ctx, s.lasts+startTimeout)
	defer cancel()
	for {
		err := ask(ctx, l.Nodes[rng.IntN(len(l.Nodes))], 5*time.Second, func(ctx context.Context, c nexuspb.NexusClient) error {
			_, err := c.ReplaceNode(ctx, &nexuspb.ReplaceNodeRequest{Url: n.URL()})
			return err
		})
		if err == nil || strings.Contains(err.Error(), "it has not lost its data") && l.votes(ctx, n) {
			return n.Name, nil
		}
		if ctx.Err() != nil {
			return n.Name, fmt.Errorf("replace %s: %w", n.URL(), err)
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// votes reports whether some other node counts n as a voter.
func (l *lab) votes(ctx context.Context, n *cluster.Node) bool {
	status, err := n.Status(ctx)
	if err != nil {
		return false
	}
	for _, m := range status.GetMembers() {
		if m.GetId() == status.GetId() && !m.GetLearner() {
			return true
		}
	}
	return false
}
