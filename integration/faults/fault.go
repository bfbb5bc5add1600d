package faults

import (
	"context"
	"math/rand/v2"
	"time"
)

// fault is one way in which something fails.
type fault struct {
	name string
	// group: two of one group are not combined.
	group       string
	weight      int
	least, most time.Duration
	// run lets it happen, for as long as the step says, and mends it, except for what lab.mend does. what tells in a few
	// words what was chosen. An error means that the fault itself, not the cluster, did not work.
	run func(ctx context.Context, l *lab, s step, rng *rand.Rand) (what string, err error)
	// needsDisks: only with disks that can run full.
	needsDisks bool
}

// nothing is what a fault reports that found nothing to work on, because the other one has it.
const nothing = "nothing to work on"

const (
	ms  = time.Millisecond
	sec = time.Second
)

// faults there are.
func allFaults() []*fault {
	return []*fault{
		{name: "kill", group: "process", weight: 3, least: 0, most: 2500 * ms, run: kill},
		{name: "pause", group: "process", weight: 3, least: 100 * ms, most: 4 * sec, run: pause},
		{name: "crash", group: "process", weight: 2, least: 500 * ms, most: 3 * sec, run: crash},
		{name: "rolling-restart", group: "process", weight: 1, least: 1 * ms, most: 2 * ms, run: rollingRestart},
		{name: "disk-full", group: "process", weight: 2, least: 1 * sec, most: 3 * sec, run: diskFull, needsDisks: true},
		{name: "replace", group: "process", weight: 2, least: 1 * sec, most: 3 * sec, run: replace},
		{name: "isolate", group: "network", weight: 2, least: 300 * ms, most: 4 * sec, run: isolate},
		{name: "deaf", group: "network", weight: 2, least: 300 * ms, most: 4 * sec, run: deaf},
		{name: "mute", group: "network", weight: 2, least: 300 * ms, most: 4 * sec, run: mute},
		{name: "bridge", group: "network", weight: 2, least: 300 * ms, most: 4 * sec, run: bridge},
		{name: "refuse", group: "network", weight: 1, least: 300 * ms, most: 4 * sec, run: refuse},
		{name: "break", group: "network", weight: 1, least: 500 * ms, most: 3 * sec, run: breakConnections},
		{name: "slow", group: "network", weight: 1, least: 1 * sec, most: 4 * sec, run: slow},
		{name: "crawl", group: "network", weight: 1, least: 1 * sec, most: 4 * sec, run: crawl},
		{name: "backend-kill", group: "backend", weight: 3, least: 0, most: 2500 * ms, run: backendKill},
		{name: "backend-pause", group: "backend", weight: 3, least: 100 * ms, most: 4 * sec, run: backendPause},
		{name: "clock", group: "clock", weight: 2, least: 300 * ms, most: 3 * sec, run: clockJump},
		{name: "snapshots", group: "operator", weight: 1, least: 1 * sec, most: 3 * sec, run: snapshots},
		{name: "verify", group: "operator", weight: 1, least: 1 * sec, most: 3 * sec, run: verify},
		{name: "transfers", group: "operator", weight: 1, least: 1 * sec, most: 3 * sec, run: transfers},
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// until returns a context that ends after d.
func until(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}
