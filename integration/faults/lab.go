package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/lan"
	"github.com/nexus-replication/nexus/integration/network"
)

const (
	startTimeout = 90 * time.Second
	stopTimeout  = 15 * time.Second
	tmpfsSize    = 320 // MB: the log's segments of 64 MB, and snapshots
)

// lab is one cluster, with hands on all that can fail.
type lab struct {
	*cluster.Cluster
	opts   labOptions
	net    *network.Network                 // nil on a lan
	lan    *lan.LAN                         // nil where connections are held up by net
	clocks map[*cluster.Node]string         // files that put clocks wrong
	disks  map[*cluster.Node]*cluster.Tmpfs // nil where none can be mounted

	// replacing is held while a node without its disk is not a member again: to lose another one would be to lose the
	// majority, and data with it.
	replacing sync.Mutex

	mu    sync.Mutex
	taken map[*cluster.Process]bool // a fault is at work on it
}

// labOptions of newLab. Binary is redis_repl with -tags failpoint.
type labOptions struct {
	Binary, Dir string
	Flags       []string
	// Packets puts the nodes on a lan, on which packets are lost.
	Packets bool
	// Disks puts data directories on file systems that can run full.
	Disks bool
}

// newLab starts a cluster and waits until it serves.
func newLab(ctx context.Context, opts labOptions) (_ *lab, err error) {
	made := &lab{
		opts:   opts,
		clocks: make(map[*cluster.Node]string),
		disks:  make(map[*cluster.Node]*cluster.Tmpfs),
		taken:  make(map[*cluster.Process]bool),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.close())
		}
	}()
	if opts.Packets {
		if made.lan, err = lan.New("node-1", "node-2", "node-3"); err != nil {
			return nil, err
		}
	} else {
		made.net = network.New(made.pids)
	}
	c, err := cluster.New(cluster.Options{Binary: opts.Binary, Dir: opts.Dir, Flags: opts.Flags, Apart: !opts.Packets, LAN: made.lan})
	if err != nil {
		return nil, err
	}
	made.Cluster = c
	for _, n := range c.Nodes {
		if err := made.equip(n); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.StartReady(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.Logs())
	}
	return made, nil
}

// equip gives a node its way to the others, its clock and its disk.
func (l *lab) equip(n *cluster.Node) error {
	if l.net != nil {
		if err := l.net.Listen(n.Name, cluster.Address(n.Raft), n.RaftAddr()); err != nil {
			return err
		}
	}
	l.clocks[n] = filepath.Join(l.opts.Dir, n.Name+".clock")
	n.Env = append(n.Env, "NEXUS_CLOCK="+l.clocks[n])
	if err := l.setClock(n, 0); err != nil {
		return err
	}
	if !l.opts.Disks {
		return nil
	}
	disk, err := cluster.MountTmpfs(filepath.Join(l.opts.Dir, n.Name+".disk"), tmpfsSize)
	if err != nil {
		return err
	}
	l.disks[n] = disk
	n.DataDir = disk.Dir()
	n.Args = append(n.Args, "-nexus-data-dir", n.DataDir)
	return nil
}

// close ends everything.
func (l *lab) close() error {
	var errs []error
	if l.Cluster != nil {
		errs = append(errs, l.Kill())
	}
	if l.net != nil {
		l.net.Close()
	}
	if l.lan != nil {
		errs = append(errs, l.lan.Close())
	}
	for _, d := range l.disks {
		errs = append(errs, d.Unmount())
	}
	return errors.Join(errs...)
}

func (l *lab) pids() map[string]int {
	pids := make(map[string]int, len(l.Nodes))
	for _, n := range l.Nodes {
		pids[n.Name] = n.Pid()
	}
	return pids
}

// setClock puts the wall clock of a node wrong by offset.
func (l *lab) setClock(n *cluster.Node, offset time.Duration) error {
	// Written beside and renamed, since the node reads it at any time.
	file := l.clocks[n]
	if err := os.WriteFile(file+".new", []byte(strconv.FormatInt(offset.Milliseconds(), 10)), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// role that a fault wants its node to have.
type role string

const (
	anyone   role = "any"
	leader   role = "leader"
	follower role = "follower"
)

// own returns the node's own process, backend that of its redis-server.
func own(n *cluster.Node) *cluster.Process     { return &n.Process }
func backend(n *cluster.Node) *cluster.Process { return &n.Backend.Process }

// pick returns a node of the role of which no fault has any of the parts. If there is none, one of any role; nil if
// there is none at all.
func (l *lab) pick(ctx context.Context, want role, rng *rand.Rand, parts ...func(*cluster.Node) *cluster.Process) *cluster.Node {
	leads := l.leading(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	var second *cluster.Node
	for _, i := range rng.Perm(len(l.Nodes)) {
		n := l.Nodes[i]
		if l.anyTaken(n, parts) {
			continue
		}
		if want == anyone || (n == leads) == (want == leader) {
			return n
		}
		second = n
	}
	return second
}

// take is pick for a fault that stops and starts these parts of the node. They must be given back.
func (l *lab) take(ctx context.Context, want role, rng *rand.Rand, parts ...func(*cluster.Node) *cluster.Process) (n *cluster.Node, giveBack func(), ok bool) {
	n = l.pick(ctx, want, rng, parts...)
	if n == nil {
		return nil, nil, false
	}
	giveBack, ok = l.tryTake(n, parts...)
	return n, giveBack, ok
}

func (l *lab) tryTake(n *cluster.Node, parts ...func(*cluster.Node) *cluster.Process) (giveBack func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.anyTaken(n, parts) {
		return nil, false
	}
	for _, part := range parts {
		l.taken[part(n)] = true
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, part := range parts {
			delete(l.taken, part(n))
		}
	}, true
}

func (l *lab) anyTaken(n *cluster.Node, parts []func(*cluster.Node) *cluster.Process) bool {
	return slices.ContainsFunc(parts, func(part func(*cluster.Node) *cluster.Process) bool { return l.taken[part(n)] })
}

// leading returns the node that says it leads, in the latest term if several do; nil if none does.
func (l *lab) leading(ctx context.Context) (leads *cluster.Node) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var latest uint64
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for _, n := range l.Nodes {
		if !n.Running() {
			continue
		}
		wg.Go(func() {
			status, err := n.Status(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && status.GetRole() == "leader" && status.GetTerm() > latest {
				leads, latest = n, status.GetTerm()
			}
		})
	}
	wg.Wait()
	return leads
}

// watch reports processes that end although no fault is at work on them, until ctx ends.
func (l *lab) watch(ctx context.Context, report func(problem string)) {
	seen := make(map[*cluster.Process]bool)
	for ctx.Err() == nil {
		for _, n := range l.Nodes {
			for _, p := range []*cluster.Process{own(n), backend(n)} {
				l.mu.Lock()
				dead := !l.taken[p] && !p.Running()
				l.mu.Unlock()
				if dead && !seen[p] {
					report(fmt.Sprintf("%s ended by itself: %v", p.Name, p.Err()))
				}
				seen[p] = dead
			}
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// mend lifts what faults may have left, and starts what does not run.
func (l *lab) mend() error {
	var errs []error
	if l.net != nil {
		l.net.Heal()
	} else {
		l.lan.Heal()
	}
	for _, n := range l.Nodes {
		errs = append(errs, l.setClock(n, 0), n.Resume(), n.Backend.Resume())
		if !n.Backend.Running() {
			errs = append(errs, n.Backend.Start())
		}
		if !n.Running() {
			errs = append(errs, n.Start())
		}
	}
	return errors.Join(errs...)
}
