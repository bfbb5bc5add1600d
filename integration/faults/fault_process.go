package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

func kill(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	n, release, ok := l.take(ctx, s.role, rng, own)
	if !ok {
		return nothing, nil
	}
	defer release()
	if err := n.Kill(); err != nil {
		return n.Name, err
	}
	sleep(ctx, s.lasts)
	return n.Name, n.Start()
}

func pause(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	n, release, ok := l.take(ctx, s.role, rng, own)
	if !ok {
		return nothing, nil
	}
	defer release()
	if err := n.Pause(); err != nil {
		return n.Name, err
	}
	sleep(ctx, s.lasts)
	return n.Name, n.Resume()
}

// places at which crash lets a node die.
var places = []string{
	"redis.before-exec", "redis.after-exec-write", "redis.after-exec", "raft.before-save", "raft.after-save",
	"raft.before-send", "raft.after-send", "raft.after-apply", "raft.after-snapshot-body", "redis.before-restore", "redis.after-replicaof", "redis.before-marker",
}

// crash restarts a node so that it dies at a certain place, if it comes there, and starts it again.
func crash(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	n, release, ok := l.take(ctx, s.role, rng, own)
	if !ok {
		return nothing, nil
	}
	defer release()
	place := fmt.Sprintf("%s:%d", places[rng.IntN(len(places))], 1+rng.IntN(60))
	what := n.Name + " at " + place
	if err := n.Kill(); err != nil {
		return what, err
	}
	before := n.Env
	n.Env = append(slices.Clone(before), "NEXUS_FAILPOINT="+place)
	err := n.Start()
	n.Env = before
	if err != nil {
		return what, err
	}
	select {
	case <-n.Exited():
		what += " (died of it)"
	case <-time.After(s.lasts):
	case <-ctx.Done():
	}
	return what, errors.Join(n.Kill(), n.Start())
}

// rollingRestart stops each node as an upgrade does, and goes on when it serves again.
func rollingRestart(ctx context.Context, l *lab, _ step, rng *rand.Rand) (string, error) {
	var restarted []string
	for _, i := range rng.Perm(len(l.Nodes)) {
		n := l.Nodes[i]
		release, ok := l.tryTake(n, own)
		if !ok {
			continue
		}
		err := restart(ctx, n)
		release()
		if err != nil {
			return n.Name, err
		}
		restarted = append(restarted, n.Name)
	}
	return strings.Join(restarted, ", "), nil
}

func restart(ctx context.Context, n *cluster.Node) error {
	if err := n.Stop(stopTimeout); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	// It cannot serve where another fault keeps it from that.
	ctx, cancel := until(ctx, 3*time.Second)
	defer cancel()
	if err := n.AwaitReady(ctx); err != nil && !n.Running() {
		return err
	}
	return nil
}

// diskFull takes all space from under the log of a node while large values are written.
func diskFull(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	n, release, ok := l.take(ctx, s.role, rng, own)
	if !ok {
		return nothing, nil
	}
	defer release()
	disk := l.disks[n]
	if err := disk.Fill(); err != nil {
		return n.Name, err
	}
	lasts, cancel := until(ctx, s.lasts)
	defer cancel()
	others := slices.DeleteFunc(slices.Clone(l.Nodes), func(other *cluster.Node) bool { return other == n })
	writeLarge(lasts, others[rng.IntN(len(others))], n.Exited())
	if err := disk.Free(); err != nil {
		return n.Name, err
	}
	what := n.Name
	if strings.Contains(n.Output(), "no space left on device") {
		// It has noticed, and ends soon, unless it was only a snapshot that found no place.
		select {
		case <-n.Exited():
			what += " (ended of it)"
		case <-time.After(stopTimeout):
		case <-ctx.Done():
		}
	}
	if n.Running() {
		return what, nil
	}
	return what, n.Start()
}

// writeLarge overwrites one large value again and again: what the log has reserved must run out first.
func writeLarge(ctx context.Context, n *cluster.Node, enough <-chan struct{}) {
	c := connect(n, time.Second)
	defer c.Close()
	value := strings.Repeat("x", 1<<20)
	for range 100 {
		select {
		case <-enough:
			return
		case <-ctx.Done():
			return
		default:
		}
		if err := c.Do(ctx, "SET", "large", value).Err(); err != nil && !errors.Is(err, redis.Nil) {
			sleep(ctx, errorPause)
		}
	}
}
