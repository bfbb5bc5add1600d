package raft

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// simNode is a machine: a data directory, a clock, a backend, and the Replicator that runs on it now, if one does.
type simNode struct {
	w     *simWorld
	i     int
	id    uint64
	url   string
	dir   string
	store *simStore

	// The clocks: this many seconds go by in one of the world; where they stand; what they stood still (only if cheating), and
	// since when they do, 0 while they run. Whoever calls the node asks for the time, so the two are atomic.
	rate             float64
	wall             time.Duration
	frozen, pausedAt atomic.Int64

	run       int // grows with each start and stop of the program
	r         *Replicator
	up        bool // the loop runs
	handler   http.Handler
	disk      *simDisk
	mail      mail
	turnDue   bool
	paused    bool
	deferred  []func() // until it is awake
	tickOwed  bool
	turnDelay time.Duration // of a slow disk or a busy machine

	crashAt string // effect at which the program will die; "": any
	crashIn int    // after so many of these; 0: it lives
	dead    bool   // it died, nothing that it does counts any more

	removable bool // somebody asked for its removal
	removed   bool
	joined    bool // it was told to join after the cluster was there
}

var (
	errSimCrash = errors.New("simulated crash")
	errSimDisk  = errors.New("simulated disk error")
	// errSimViolation is what an operator found that must not be.
	errSimViolation = errors.New("violation")
)

func (w *simWorld) makeNodes(dir string) {
	ids := make(map[uint64]bool)
	for i := range w.plan.nodes + w.plan.joiners {
		n := &simNode{w: w, i: i, url: fmt.Sprintf("http://n%d:1", i), dir: filepath.Join(dir, fmt.Sprint("n", i)), rate: 1}
		for n.id == 0 || ids[n.id] {
			n.id = w.rng.Uint64() >> 1
		}
		ids[n.id] = true
		if w.plan.drift > 0 {
			n.rate = 1 + w.plan.drift*(2*w.rng.Float64()-1)
		}
		if i < len(w.plan.rates) {
			n.rate = w.plan.rates[i]
		}
		n.wall = time.Duration(w.rng.IntN(20_000)) * time.Millisecond
		n.store = newSimStore(n)
		n.joined = i >= w.plan.nodes
		w.nodes = append(w.nodes, n)
	}
	var first []Member
	for _, n := range w.nodes[:w.plan.nodes] {
		first = append(first, Member{ID: n.id, URL: n.url})
	}
	sortMembers(first)
	for _, n := range w.nodes {
		id := identity{Version: identityVersion, ClusterName: "sim", URL: n.url, ID: n.id}
		if !n.joined {
			id.Cluster, id.Bootstrap = clusterID("sim", first), first
		}
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := id.save(n.dir); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (n *simNode) config() Config {
	cfg := NewConfig()
	cfg.ClusterName, cfg.NodeURL, cfg.DataDir, cfg.Store = "sim", n.url, n.dir, n.store
	for _, peer := range n.w.nodes {
		// Who joins may find that the first members are all gone: whoever starts a node names some of the others.
		if !peer.joined || n.joined && peer != n {
			cfg.ClusterURLs = append(cfg.ClusterURLs, peer.url)
		}
	}
	p := &n.w.plan
	cfg.ElectionTicks, cfg.LeaseReads, cfg.Timeout = p.electionTicks, p.leases, p.timeout
	cfg.SnapshotCount, cfg.VerifyInterval, cfg.AutoRepair = p.snapshotCount, 0, true
	cfg.MaxBatchCommands, cfg.MaxApplyLag = p.maxBatch, p.maxLag
	if p.sequencer {
		cfg.Sequencer = &simSequencer{n: n}
	}
	cfg.Logger = n.w.logger().With("node", n.i)
	return cfg
}

// clock is the time since the start of the world as this node's clock has it.
func (n *simNode) clock() time.Duration {
	at := n.w.now()
	if n.w.cheat.frozenClocks {
		at -= time.Duration(n.frozen.Load())
		if since := time.Duration(n.pausedAt.Load()); since != 0 {
			at -= n.w.now() - since
		}
	}
	return time.Duration(float64(at) * n.rate)
}

func (n *simNode) wallClock() time.Time {
	return time.UnixMilli(1_700_000_000_000).Add(n.wall + n.clock())
}

// boot starts the program. Opening what it finds may take time.
func (n *simNode) boot() {
	if n.r != nil || n.removed {
		return
	}
	n.w.note("n%d boots", n.i)
	n.run++
	run := n.run
	r, err := New(n.config())
	if err == nil {
		r.lock, err = lockDir(n.dir)
	}
	if err == nil {
		r.identity, err = loadIdentity(&r.cfg)
	}
	if err != nil {
		n.w.violate("n%d does not start: %v", n.i, err)
		return
	}
	r.campaign.draw = n.w.rng.IntN
	if n.w.seed%2 == 1 {
		r.wholeBytes, r.pieceBytes = 80, 10
		for _, peer := range n.w.nodes {
			r.dialects.learn(peer.id, dialect{entries: newestEntry})
		}
	}
	r.wallClock, r.leaseClock, r.lease.clock = n.wallClock, n.clock, n.clock
	r.wakeIn = func(d time.Duration) { n.w.after(d, r.mail.wake) }
	r.client = &http.Client{Transport: &simDialer{n: n, run: run}}
	n.r, n.handler = r, r.handler()
	r.spawn(func(ctx context.Context) {
		var position Position
		err := r.enterCluster(ctx)
		if err == nil {
			position, err = r.open(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if _, gone := n.gate(ctx, run, "booted", ""); gone != nil {
			return
		}
		n.begin(position, err)
	})
}

// begin runs what was opened.
func (n *simNode) begin(position Position, err error) {
	r := n.r
	if errors.Is(err, ErrRemoved) && n.removable {
		n.removed, n.dead = true, true
		return
	}
	if err != nil {
		n.w.violate("n%d does not start: %v", n.i, err)
		return
	}
	n.disk = &simDisk{n: n, run: n.run, wal: r.disk.wal, path: r.disk.walPath, noted: n.noted()}
	r.disk.wal = n.disk
	network := &simTransport{n: n, run: n.run, peers: make(map[uint64]bool), heard: make(map[uint64]bool)}
	r.transport = &transport{http: network, errors: make(chan error, 1), peers: make(map[uint64]bool)}
	apply, err := r.begin(position)
	if err != nil {
		n.w.violate("n%d does not start: %v", n.i, err)
		return
	}
	n.up, n.turnDue = true, false
	r.spawn(apply.run)
	r.spawn(r.watchTransport)
	r.autoRepair()
	n.nextTick(n.run, time.Duration(n.w.rng.Int64N(int64(r.cfg.Tick))))
}

func (n *simNode) noted() uint64 {
	if n.r.disk.base == nil {
		return 0
	}
	return n.r.disk.base.Metadata.Index
}

func (n *simNode) nextTick(run int, in time.Duration) {
	n.w.after(in, func() {
		if n.run != run || !n.up {
			return
		}
		n.nextTick(run, time.Duration(float64(n.r.cfg.Tick)/n.rate))
		if n.paused {
			n.tickOwed = true // and no more than one, as of a time.Ticker
			return
		}
		n.tick()
	})
}

func (n *simNode) tick() {
	n.guard(func() error {
		n.r.tick()
		return n.r.turn(&n.mail)
	})
}

// turn is what runLoop does when there is mail.
func (n *simNode) turn() {
	n.turnDue = false
	if !n.up || n.dead {
		return
	}
	n.guard(func() error { return n.r.turn(&n.mail) })
}

func (n *simNode) guard(do func() error) {
	defer func() {
		if p := recover(); p != nil {
			n.w.violate("n%d panics: %v\n%s", n.i, p, debug.Stack())
		}
	}()
	select {
	case <-n.r.mail.signal:
	default:
	}
	if n.r.ctx.Err() != nil {
		return
	}
	if err := do(); err != nil && !n.dead {
		n.r.fail(err)
	}
}

// look notices what a node needs after an event.
func (n *simNode) look() {
	switch {
	case n.dead:
		n.stop()
		n.w.after(n.w.between(10*time.Millisecond, n.w.plan.downtime), n.boot)
	case !n.up:
	case n.r.Err() != nil:
		n.failed(n.r.Err())
	case !n.turnDue && (len(n.r.mail.signal) > 0 || n.r.node.HasReady()):
		n.turnDue = true
		run := n.run
		n.w.after(n.w.between(0, 300*time.Microsecond)+n.turnDelay, func() {
			n.whenAwake(func() {
				if n.run == run {
					n.turn()
				}
			})
		})
	}
}

// failed takes note that the program stopped by itself.
func (n *simNode) failed(err error) {
	n.w.note("n%d failed: %v", n.i, err)
	switch {
	case errors.Is(err, ErrRemoved) && n.removable:
		n.removed = true
		n.w.collectCalls()
		n.stop()
	case errors.Is(err, errSimDisk):
		n.w.collectCalls()
		n.stop()
		n.w.after(n.w.between(10*time.Millisecond, n.w.plan.downtime), n.boot)
	default:
		n.w.violate("n%d stopped by itself: %v", n.i, err)
	}
}

// stop ends the program at once, wherever it is, and leaves on disk what a crash leaves.
func (n *simNode) stop() {
	if n.r == nil {
		return
	}
	r, disk, dead := n.r, n.disk, n.dead
	n.w.note("n%d stops", n.i)
	for _, c := range n.w.calls {
		if c.node == n {
			c.lost = true
		}
	}
	n.dead = true
	n.run++
	r.cancel(errSimCrash)
	synctest.Wait()
	var left simImage
	if disk != nil {
		left = disk.image(dead)
	}
	if err := r.release(); err != nil {
		n.w.note("n%d: %v", n.i, err)
	}
	left.restore(n.w)
	n.r, n.disk, n.handler, n.up, n.dead, n.crashIn = nil, nil, nil, false, false, 0
	n.pausedAt.Store(0)
	n.paused, n.deferred, n.turnDue, n.tickOwed, n.turnDelay, n.mail = false, nil, false, false, 0, mail{}
}
