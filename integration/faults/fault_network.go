package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/network"
)

// change applies to both ways between a node and each other one, for as long as s lasts.
func change(ctx context.Context, l *lab, s step, rng *rand.Rand, out, in func(*network.Rule)) (string, error) {
	n := l.pick(ctx, s.role, rng)
	if n == nil {
		n = l.Nodes[rng.IntN(len(l.Nodes))]
	}
	for _, other := range l.Nodes {
		if other == n {
			continue
		}
		l.net.Set(n.Name, other.Name, out)
		l.net.Set(other.Name, n.Name, in)
	}
	sleep(ctx, s.lasts)
	l.net.Heal()
	return n.Name, nil
}

func cut(r *network.Rule)  { r.Cut = true }
func keep(*network.Rule)   {}
func deny(r *network.Rule) { r.Refuse = true }

// isolate cuts a node off: the leader alone, or a minority of one beside it.
func isolate(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	return change(ctx, l, s, rng, cut, cut)
}

// deaf lets a node speak but not hear.
func deaf(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	return change(ctx, l, s, rng, keep, cut)
}

// mute lets a node hear but not speak.
func mute(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	return change(ctx, l, s, rng, cut, keep)
}

// refuse breaks the connections of a node and refuses new ones.
func refuse(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	return change(ctx, l, s, rng, deny, deny)
}

// slow is a node far away.
func slow(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	delay := 5*time.Millisecond + rand.N(100*time.Millisecond)
	late := func(r *network.Rule) { r.Delay, r.Jitter = delay, delay }
	return change(ctx, l, s, rng, late, late)
}

// crawl makes the way of a node so slow that heartbeats are late.
func crawl(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	late := func(r *network.Rule) { r.Delay, r.Jitter = 300*time.Millisecond, 900*time.Millisecond }
	if rng.IntN(2) == 0 {
		return change(ctx, l, s, rng, late, keep)
	}
	return change(ctx, l, s, rng, late, late)
}

// bridge cuts one pair of nodes, which both still reach the third. Sometimes only one direction of it.
func bridge(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	a, b := l.pair(ctx, s.role, rng)
	l.net.Set(a.Name, b.Name, cut)
	what := fmt.Sprintf("%s to %s", a.Name, b.Name)
	if rng.IntN(3) > 0 {
		l.net.Set(b.Name, a.Name, cut)
		what = fmt.Sprintf("%s and %s", a.Name, b.Name)
	}
	sleep(ctx, s.lasts)
	l.net.Heal()
	return what, nil
}

// breakConnections breaks those of pairs of nodes, now and again.
func breakConnections(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	ctx, cancel := until(ctx, s.lasts)
	defer cancel()
	for ctx.Err() == nil {
		a, b := l.pair(ctx, anyone, rng)
		l.net.Break(a.Name, b.Name)
		sleep(ctx, 50*time.Millisecond+rand.N(300*time.Millisecond))
	}
	return "", nil
}

// pair returns two nodes, the first of the role if there is one.
func (l *lab) pair(ctx context.Context, want role, rng *rand.Rand) (a, b *cluster.Node) {
	at := rng.Perm(len(l.Nodes))
	a, b = l.Nodes[at[0]], l.Nodes[at[1]]
	leads := l.leading(ctx)
	if want == leader && leads == b {
		a, b = b, a
	}
	if want == leader && leads != nil && leads != a {
		a = leads
	}
	return a, b
}
