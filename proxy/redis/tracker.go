package redis

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// trackerPause is how long the tracker waits before it connects again.
const trackerPause = 100 * time.Millisecond

// tracker tells clients of the keys that have changed, of those that they have read. There is one for all clients of the
// node: while one of them is tracked, it has a connection on which the backend tells of every change.
//
// A client's keys are in the table before its read is sent to the backend. What changes a key after that read is executed
// after it, and so heard after it. Where the tracker cannot be sure to hear of a change, clients have to forget all that
// they have read, and at once what they read then.
type tracker struct {
	srv   *Server
	limit atomic.Int64 // of keys in the table; 0 for none
	sure  atomic.Bool  // that of run, for those who write
	// announced is the last entry that the backend was given.
	announced atomic.Uint64

	mu      sync.Mutex
	clients map[*tracked]struct{}
	table   trackingTable
	noloop  int // clients that ask who has changed a key
	run     *trackerRun
	runs    runLog
}

// trackerRun is the time from the first client to the last.
type trackerRun struct {
	cancel context.CancelFunc

	// With tracker.mu.
	sure    bool          // what changes from now on will be heard
	changed chan struct{} // closed and replaced when sure or err has changed
	err     error         // why it is not sure
	flushed bool          // all keys are known to have gone in the transaction that is heard
	heard   uint64        // the last entry of what was heard
	hearing chan struct{} // nil, or closed when more was heard
}

func newTracker(srv *Server) *tracker {
	k := &tracker{srv: srv, clients: make(map[*tracked]struct{}), table: newTrackingTable()}
	k.limit.Store(defaultTrackingKeys)
	return k
}

// defaultTrackingKeys is the default of tracking-table-max-keys.
const defaultTrackingKeys = 1_000_000

// add begins to track a client, and returns when that is sure to be told of changes.
func (k *tracker) add(ctx context.Context, c *tracked) error {
	k.mu.Lock()
	if k.run == nil {
		if err := k.start(); err != nil {
			k.mu.Unlock()
			return err
		}
	}
	r := k.run
	k.clients[c] = struct{}{}
	if c.opts.noloop {
		k.noloop++
	}
	for !r.sure {
		changed := r.changed
		k.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			err := context.Cause(ctx)
			k.mu.Lock()
			if r.err != nil {
				err = fmt.Errorf("%w: %w", err, r.err)
			}
			k.mu.Unlock()
			k.remove(c)
			return fmt.Errorf("follow the changes of the backend: %w", err)
		}
		k.mu.Lock()
	}
	k.mu.Unlock()
	if !k.srv.tasks.start() {
		k.remove(c)
		return errDraining
	}
	go c.push()
	return nil
}

// set gives a client that is tracked other options.
func (k *tracker) set(c *tracked, opts trackingOptions) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.opts.noloop {
		k.noloop--
	}
	if opts.noloop {
		k.noloop++
	}
	c.opts = opts
	c.mu.Lock()
	c.to = opts.redirect
	c.mu.Unlock()
}

// remove ends the tracking of a client. What it was not told yet is not sent.
func (k *tracker) remove(c *tracked) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.clients[c]; !ok {
		return
	}
	delete(k.clients, c)
	close(c.done)
	k.table.drop(c)
	if c.opts.noloop {
		k.noloop--
	}
	if len(k.clients) == 0 && k.run != nil {
		k.run.cancel()
		k.run = nil
		k.runs = runLog{}
		k.sure.Store(false)
	}
}

// start makes the tracker run. mu is held.
func (k *tracker) start() error {
	if !k.srv.tasks.start() {
		return errDraining
	}
	ctx, cancel := context.WithCancel(k.srv.ctx)
	r := &trackerRun{cancel: cancel, changed: make(chan struct{})}
	k.run = r
	go func() {
		defer k.srv.tasks.end()
		defer cancel()
		for ctx.Err() == nil {
			err := k.follow(ctx, r)
			k.unsure(r, err)
			select {
			case <-ctx.Done():
			case <-time.After(trackerPause):
			}
		}
	}()
	return nil
}

// follow hears of changes until the connection ends.
func (k *tracker) follow(ctx context.Context, r *trackerRun) error {
	dial, cancelDial := context.WithTimeout(ctx, k.srv.cfg.Timeout)
	conn, err := k.srv.backend.Tracker(dial, k.applying)
	cancelDial()
	if err != nil {
		return err
	}
	p := &prover{k: k, run: r, conn: conn}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var proving sync.WaitGroup
	proving.Go(func() { p.prove(ctx) })
	defer func() {
		cancel()
		stop()
		_ = conn.Close()
		proving.Wait()
	}()
	for {
		change, err := conn.Next()
		if err != nil {
			return err
		}
		if change.Pong != 0 {
			p.proven(change.Pong)
			continue
		}
		k.take(r, change)
	}
}

// setSure is called when all that changes from now on will be heard.
func (k *tracker) setSure(r *trackerRun) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.sure || k.run != r {
		return
	}
	r.sure, r.err = true, nil
	k.sure.Store(true)
	close(r.changed)
	r.changed = make(chan struct{})
}

// unsure is called when changes may go unheard: clients have to forget what they have.
func (k *tracker) unsure(r *trackerRun, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.run != r {
		return
	}
	r.err = why
	if !r.sure {
		return
	}
	r.sure = false
	k.sure.Store(false)
	k.srv.log.Warn("clients have to forget what they have cached", "reason", why)
	k.forgetAll(true)
}

// forgetAll has all clients forget all keys. mu is held.
func (k *tracker) forgetAll(lastRead bool) {
	k.table.clear()
	for c := range k.clients {
		c.forgetAll(lastRead)
	}
}

// read notes that a client is about to read keys, and may cache them.
func (k *tracker) read(c *tracked, keys [][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.reads(keys)
	switch {
	case k.run == nil || !k.run.sure:
		for _, key := range keys {
			c.forget(invalidation{keys: [][]byte{bytes.Clone(key)}})
		}
	case c.opts.bcast:
		for _, key := range keys {
			c.ownKeys = c.ownKeys || isOwnKey(key)
		}
	default:
		for _, key := range keys {
			k.table.add(c, key)
		}
		k.shrink()
	}
}

// configure takes a setting that policy has checked, if it is how many keys the table may have.
func (k *tracker) configure(name, value string) {
	if name != "tracking-table-max-keys" {
		return
	}
	limit, _ := parseInt([]byte(value))
	k.limit.Store(limit)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shrink()
}

// shrink has clients forget keys until the table is as small as it has to be. mu is held.
func (k *tracker) shrink() {
	for {
		key, ok := k.table.excess(k.limit.Load())
		if !ok {
			return
		}
		for _, c := range k.table.take([]byte(key)) {
			c.forget(invalidation{keys: [][]byte{[]byte(key)}})
		}
	}
}

// take tells clients of a change.
func (k *tracker) take(r *trackerRun, change backend.Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.run != r {
		return
	}
	names := k.runs.take(change.Runs)
	defer k.noteHeard(r, change.Runs)
	if change.Lost || change.All && !r.flushed {
		k.forgetAll(false)
	}
	// FLUSHALL is the flush of one database after the other.
	r.flushed = change.All && !change.Lost && len(change.Runs) == 0
	if change.All {
		return
	}
	keys, own := splitOwn(change)
	read := k.table.known(keys)
	if len(read) > 1 && names != nil && names.data != nil {
		k.srv.order(names, read)
	}
	for _, list := range [][][]byte{read, own} {
		for _, key := range list {
			for _, c := range k.table.take(key) {
				m := invalidation{keys: [][]byte{key}}
				if c.opts.noloop && names != nil && names.few(key) {
					m.mine = names
					k.table.add(c, key) // for the change that is not its own
				}
				c.forget(m)
			}
		}
	}
	for c := range k.clients {
		if c.opts.bcast {
			k.broadcast(c, keys, names)
			if c.ownKeys {
				k.broadcast(c, own, nil)
			}
		}
	}
}

// noteHeard wakes those who wait for a transaction. mu is held.
func (k *tracker) noteHeard(r *trackerRun, runs []uint64) {
	for _, index := range runs {
		if index <= k.announced.Load() { // else a client has a key of such a name
			r.heard = max(r.heard, index)
		}
	}
	if len(runs) > 0 && r.hearing != nil {
		close(r.hearing)
		r.hearing = nil
	}
}

// hearingPatience is how long a write waits for its own change to be heard.
const hearingPatience = 100 * time.Millisecond

// await returns when clients are about to be told what an entry has changed, or soon. The backend tells of it together with its
// reply, so the wait is short, and it gives the order that clients know: who reads with a cache what was written through
// the same node, and answered, is told no later than the writer.
func (k *tracker) await(index uint64) {
	if !k.sure.Load() {
		return
	}
	hearing := k.unheard(index)
	if hearing == nil {
		return
	}
	timer := time.NewTimer(hearingPatience)
	defer timer.Stop()
	for hearing != nil {
		select {
		case <-hearing:
			hearing = k.unheard(index)
		case <-timer.C:
			return
		}
	}
}

// unheard returns what is closed when more is heard, or nil if an entry was heard, or nobody listens.
func (k *tracker) unheard(index uint64) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.run
	if r == nil || !r.sure || r.heard >= index {
		return nil
	}
	if r.hearing == nil {
		r.hearing = make(chan struct{})
	}
	return r.hearing
}

// broadcast tells a bcast client of keys. mu is held.
func (k *tracker) broadcast(c *tracked, keys [][]byte, names *runNames) {
	for _, list := range c.opts.split(keys) {
		m := invalidation{keys: list}
		if c.opts.noloop && names != nil {
			m.mine = names
		}
		c.forget(m)
	}
}

// trackingCounts are what INFO tells.
type trackingCounts struct{ clients, keys, items, prefixes int }

func (k *tracker) counts() trackingCounts {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := trackingCounts{clients: len(k.clients), keys: len(k.table.keys), items: k.table.items}
	prefixes := make(map[string]struct{})
	for c := range k.clients {
		for _, p := range c.opts.prefixes {
			prefixes[p] = struct{}{}
		}
	}
	n.prefixes = len(prefixes)
	return n
}
