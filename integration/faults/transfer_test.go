package faults

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/network"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// transferSize is about what a snapshot weighs in these tests: values that cannot be compressed.
const transferSize = 4 << 20

// TestTransferInterrupted interrupts the way of a snapshot from one member to another, under load, in each way there is.
func TestTransferInterrupted(t *testing.T) {
	t.Parallel()
	disks := canMount(t)
	l, err := newLab(t.Context(), labOptions{
		Binary: nodeBinary, Dir: t.TempDir(), Disks: disks, Flags: []string{"-nexus-snapshot-count", "50", "-nexus-repl-timeout", "2s"},
	})
	check(t, err)
	defer func() { check(t, l.close()) }()
	fillRandom(t, l.Nodes[0])
	work := startLoad(t.Context(), l.Nodes, 1, 1, 4*time.Second)
	for _, c := range []struct {
		name string
		test func(*testing.T, *lab)
	}{
		{"connection cut at each tenth", cutAtEachTenth},
		{"sender killed", senderKilled},
		{"receiver killed", receiverKilled},
		{"disk full", receiverFull},
		{"two more snapshots meanwhile", moreSnapshots},
		{"snapshots while a learner joins", learnerJoins},
	} {
		if c.name == "disk full" && !disks {
			t.Logf("SKIPPED: %s: no file system can be mounted here", c.name)
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.test(t, l) })
		if t.Failed() {
			break
		}
	}
	work.finish()
	r := &result{round: 1}
	r.conclude(t.Context(), l, work)
	for _, p := range r.problems {
		t.Error(p)
	}
	if t.Failed() {
		dir, err := r.keep(*failuresDir, l)
		t.Logf("logs are in %s (%v)", dir, err)
	}
}

func fillRandom(t *testing.T, n *cluster.Node) {
	t.Helper()
	const piece = 32 << 10
	conn := connect(n, 10*time.Second)
	defer conn.Close()
	for i := range transferSize / piece {
		value := make([]byte, piece)
		_, err := rand.Read(value)
		check(t, err)
		check(t, conn.Set(t.Context(), fmt.Sprint("random:", i), value, 0).Err())
	}
}

// behind kills a follower and waits until it can only be brought up to date by a snapshot. It is not started yet.
func behind(t *testing.T, l *lab) (leads, victim *cluster.Node) {
	t.Helper()
	ctx := within(t, startTimeout)
	victim, err := l.Follower(ctx)
	check(t, err)
	status, err := victim.Status(ctx)
	check(t, err)
	check(t, victim.Kill())
	for _, n := range l.Nodes {
		if n != victim {
			check(t, await(ctx, func() error { return snapshotAfter(ctx, n, status.GetApplied()+200) }))
		}
	}
	leads, err = l.Leader(ctx)
	check(t, err)
	return leads, victim
}

func await(ctx context.Context, condition func() error) error {
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

func snapshotAfter(ctx context.Context, n *cluster.Node, index uint64) error {
	status, err := n.Status(ctx)
	if err == nil && status.GetSnapshot() <= index {
		err = fmt.Errorf("%s has a snapshot at %d, want one after %d", n.Name, status.GetSnapshot(), index)
	}
	return err
}

// caughtUp waits until a node serves, which it can only do by a snapshot from another.
func caughtUp(t *testing.T, l *lab, n *cluster.Node) {
	t.Helper()
	ctx := within(t, startTimeout)
	check(t, n.AwaitReady(ctx))
	check(t, await(ctx, func() error {
		if !strings.Contains(n.Output(), "backend filled from a snapshot") {
			return fmt.Errorf("%s was not filled from a snapshot", n.Name)
		}
		return nil
	}))
	check(t, l.AwaitReady(ctx))
}

// reached returns a channel that is closed when so much of a snapshot has passed, after do.
func reached(l *lab, from, to *cluster.Node, size int64, do func()) <-chan struct{} {
	done := make(chan struct{})
	l.net.OnceAfter(from.Name, to.Name, size, func() {
		do()
		close(done)
	})
	return done
}

func awaitReached(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-within(t, startTimeout).Done():
		t.Fatal("no snapshot comes that far")
	}
}

func cutAtEachTenth(t *testing.T, l *lab) {
	leads, victim := behind(t, l)
	// The pause between two tries grows, so that all tenths take long.
	at := []int{1, 5, 9}
	if *roundsFlag > shortRun {
		at = []int{1, 2, 3, 4, 5, 6, 7, 8, 9}
	}
	cuts := make(chan int, len(at))
	var arm func([]int)
	arm = func(at []int) {
		l.net.OnceAfter(leads.Name, victim.Name, int64(at[0])*transferSize/10, func() {
			if len(at) > 1 {
				arm(at[1:])
			}
			l.net.Break(leads.Name, victim.Name)
			cuts <- at[0]
		})
	}
	arm(at)
	check(t, victim.Start())
	for range cap(cuts) {
		select {
		case <-cuts:
		case <-within(t, startTimeout).Done():
			t.Fatal("no other snapshot is sent after one was cut off")
		}
	}
	caughtUp(t, l, victim)
}

func senderKilled(t *testing.T, l *lab) {
	leads, victim := behind(t, l)
	var err error
	done := reached(l, leads, victim, transferSize/2, func() { err = leads.Kill() })
	check(t, victim.Start())
	awaitReached(t, done)
	check(t, err)
	check(t, victim.AwaitReady(within(t, startTimeout))) // the other one leads now and sends its own
	check(t, leads.Start())
	caughtUp(t, l, victim)
}

func receiverKilled(t *testing.T, l *lab) {
	leads, victim := behind(t, l)
	var err error
	done := reached(l, leads, victim, transferSize/2, func() { err = victim.Kill() })
	check(t, victim.Start())
	awaitReached(t, done)
	check(t, err)
	check(t, victim.Start())
	caughtUp(t, l, victim)
}

func receiverFull(t *testing.T, l *lab) {
	leads, victim := behind(t, l)
	var err error
	done := reached(l, leads, victim, transferSize/2, func() { err = l.disks[victim].Fill() })
	check(t, victim.Start())
	awaitReached(t, done)
	check(t, err)
	check(t, await(within(t, startTimeout), func() error {
		if !strings.Contains(victim.Output()+leads.Output(), "no space left on device") && victim.Running() {
			return errors.New("nobody says that the disk is full")
		}
		return nil
	}))
	check(t, l.disks[victim].Free())
	if !victim.Running() {
		check(t, victim.Start())
	}
	caughtUp(t, l, victim)
}

// moreSnapshots lets the sender take two more while it sends one: what it sends must not be taken away.
func moreSnapshots(t *testing.T, l *lab) {
	leads, victim := behind(t, l)
	done := reached(l, leads, victim, transferSize/2, func() { hold(l, leads, victim) })
	check(t, victim.Start())
	awaitReached(t, done)
	twoMore(t, leads)
	l.net.Heal()
	caughtUp(t, l, victim)
}

func hold(l *lab, from, to *cluster.Node) {
	l.net.Set(from.Name, to.Name, func(r *network.Rule) { r.Cut = true })
}

// twoMore waits until a node has taken two more snapshots, which it does all the time under load.
func twoMore(t *testing.T, n *cluster.Node) {
	t.Helper()
	for range 2 {
		ctx := within(t, startTimeout)
		before, err := n.Status(ctx)
		check(t, err)
		check(t, await(ctx, func() error { return snapshotAfter(ctx, n, before.GetSnapshot()) }))
	}
}

func learnerJoins(t *testing.T, l *lab) {
	added, err := l.AddNode()
	check(t, err)
	check(t, l.equip(added))
	leads, err := l.Leader(within(t, startTimeout))
	check(t, err)
	check(t, added.Backend.StartReady(within(t, startTimeout)))
	done := reached(l, leads, added, transferSize/2, func() { hold(l, leads, added) })
	check(t, added.Start())
	joined := make(chan error, 1)
	go func() {
		joined <- ask(t.Context(), leads, startTimeout, func(ctx context.Context, c nexuspb.NexusClient) error {
			_, err := c.AddNode(ctx, &nexuspb.AddNodeRequest{Url: added.URL()})
			return err
		})
	}()
	awaitReached(t, done)
	twoMore(t, leads)
	l.net.Heal()
	check(t, <-joined)
	caughtUp(t, l, added)
}
