package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nexus-replication/nexus/integration/lan"
)

// packetFaults are those of a lab on a lan: there the network loses packets, and everything else fails as elsewhere.
func packetFaults() []*fault {
	others := slices.DeleteFunc(allFaults(), func(f *fault) bool {
		// What takes a node out of the cluster for long has been combined with cuts already, and takes its time here.
		return f.group == "network" || f.needsDisks || f.name == "rolling-restart"
	})
	return append([]*fault{
		{name: "loss", group: "network", weight: 5, least: 1 * sec, most: 5 * sec, run: loss},
		{name: "reorder", group: "network", weight: 3, least: 1 * sec, most: 4 * sec, run: reorder},
		{name: "repeat", group: "network", weight: 2, least: 1 * sec, most: 4 * sec, run: repeat},
		{name: "late", group: "network", weight: 2, least: 1 * sec, most: 4 * sec, run: late},
		{name: "one-way", group: "network", weight: 4, least: 500 * ms, most: 5 * sec, run: oneWay},
		{name: "vanish", group: "network", weight: 4, least: 500 * ms, most: 6 * sec, run: vanish},
	}, others...)
}

// changePackets applies out to the ways from a node to the other ones, or one of them, and in to the ways back.
func changePackets(ctx context.Context, l *lab, s step, rng *rand.Rand, out, in func(*lan.Rule)) (string, error) {
	n := l.pick(ctx, s.role, rng)
	if n == nil {
		n = l.Nodes[rng.IntN(len(l.Nodes))]
	}
	others := slices.Clone(l.Nodes)
	what := n.Name
	if rng.IntN(3) == 0 {
		other := others[(slices.Index(others, n)+1+rng.IntN(len(others)-1))%len(others)]
		others = others[:0]
		others = append(others, other)
		what += " with " + other.Name
	}
	for _, other := range others {
		if other != n {
			l.lan.Set(n.Name, other.Name, out)
			l.lan.Set(other.Name, n.Name, in)
		}
	}
	sleep(ctx, s.lasts)
	l.lan.Heal()
	return what, nil
}

// either applies a rule to both directions, or to one of them.
func either(ctx context.Context, l *lab, s step, rng *rand.Rand, about string, rule func(*lan.Rule)) (string, error) {
	spare := func(*lan.Rule) {}
	out, in := rule, rule
	switch rng.IntN(3) {
	case 0:
		out, about = spare, about+" to it"
	case 1:
		in, about = spare, about+" from it"
	}
	what, err := changePackets(ctx, l, s, rng, out, in)
	return what + ": " + about, err
}

// loss makes connections of a node stall, for as long as it takes the sender to try again.
func loss(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	part := []float64{0.02, 0.1, 0.3, 0.6}[rng.IntN(4)]
	return either(ctx, l, s, rng, fmt.Sprintf("%.0f %% lost", 100*part), func(r *lan.Rule) { r.Loss = part })
}

// reorder lets packets overtake each other.
func reorder(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	jitter := 5*time.Millisecond + rand.N(150*time.Millisecond)
	return either(ctx, l, s, rng, fmt.Sprintf("up to %v late", jitter.Round(time.Millisecond)), func(r *lan.Rule) { r.Jitter = jitter })
}

// repeat lets packets arrive twice, and late, so that the copies are spread.
func repeat(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	return either(ctx, l, s, rng, "half of them twice", func(r *lan.Rule) { r.Repeat, r.Jitter = 0.5, 20*time.Millisecond })
}

// late is a long way, over which heartbeats come too late or just in time.
func late(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	delay := 50*time.Millisecond + rand.N(700*time.Millisecond)
	return either(ctx, l, s, rng, fmt.Sprintf("%v late", delay.Round(time.Millisecond)), func(r *lan.Rule) { r.Delay, r.Loss = delay, 0.05 })
}

// oneWay loses all packets of one direction: no connection closes, and what is sent is acknowledged by nobody.
func oneWay(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	drop, spare := func(r *lan.Rule) { r.Drop = true }, func(*lan.Rule) {}
	if rng.IntN(2) == 0 {
		what, err := changePackets(ctx, l, s, rng, drop, spare)
		return what + ": nothing from it", err
	}
	what, err := changePackets(ctx, l, s, rng, spare, drop)
	return what + ": nothing to it", err
}

// vanish loses all packets of both directions, also those that would tell that a connection has ended.
func vanish(ctx context.Context, l *lab, s step, rng *rand.Rand) (string, error) {
	drop := func(r *lan.Rule) { r.Drop = true }
	return changePackets(ctx, l, s, rng, drop, drop)
}
