package raft

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"sync"
	"time"
)

// A checkpoint is an entry without commands at which every member takes a snapshot, so that their states at one and the
// same position can be compared. Its group has checkpointOrigin, which is no node, and the checkpoint's id.
const checkpointOrigin = math.MaxUint64

// Digester is implemented by a Store whose snapshots can be compared with those of other members.
type Digester interface {
	// Digest calls item for each item of the state in snap, in any order, with hashes of its key and of its value that
	// are the same on every member that holds the same. parts divide the state for people, such as databases. Safe for
	// concurrent use.
	Digest(ctx context.Context, snap *Snapshot, item func(part string, key, value uint64)) error
}

// DigestVersioner is implemented by a Digester that has changed what it tells of the same state. Members of unlike versions, as in the middle of an
// upgrade, would seem to differ, and are not compared.
type DigestVersioner interface {
	// DigestVersion is 0 where it is not implemented.
	DigestVersion() int
}

func (r *Replicator) digestVersion() int {
	if v, ok := r.cfg.Store.(DigestVersioner); ok {
		return v.DigestVersion()
	}
	return 0
}

// digestPaceItems is how many items are digested between two looks at the clock.
const digestPaceItems = 64

// digestBuckets divide the items of a part by their keys, so that what differs is found without sending all of it.
const digestBuckets = 4096

// partDigest sums up the items of one part. Sums do not depend on the order of the items.
type partDigest struct {
	items   uint64
	sum     uint64
	buckets [digestBuckets]uint64
}

func (p *partDigest) add(key, value uint64) {
	h := mix(key, value)
	p.items++
	p.sum += h
	p.buckets[bucketOf(key)] += h
}

func bucketOf(key uint64) int { return int(key >> (64 - 12)) }

// mix makes one hash of two (the finalizer of splitmix64).
func mix(key, value uint64) uint64 {
	h := key ^ (value*0x9e3779b97f4a7c15 + 0x632be59bd9b4e019)
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// checkpoint is the newest one that this member came past.
type checkpoint struct {
	id       uint64
	position Position
	begun    time.Time

	mu    sync.Mutex
	err   error
	done  bool
	parts map[string]*partDigest
	snap  *openSnapshot
}

// openSnapshot stays readable when newer ones take its place.
type openSnapshot struct {
	*body
	position Position
	origin   Identity
}

func (s *openSnapshot) snapshot() *Snapshot {
	return &Snapshot{Position: s.position, Origin: s.origin, Data: s.data(), Size: s.size}
}

func (c *checkpoint) finish(snap *openSnapshot, parts map[string]*partDigest, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.snap, c.parts, c.err, c.done = snap, parts, err, true
}

// close lets go of the snapshot.
func (c *checkpoint) close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.snap != nil {
		c.snap.Close()
	}
	c.snap, c.done, c.err = nil, true, errors.New("a later checkpoint took its place")
}

// takeCheckpoint takes the snapshot at a checkpoint, which is the last entry that was applied, and digests it beside what
// goes on.
func (a *applyLoop) takeCheckpoint(id uint64) {
	r := a.r
	c := &checkpoint{id: id, position: a.position, begun: time.Now()}
	r.checkpoint.Swap(c).close()
	digester, ok := r.cfg.Store.(Digester)
	if !ok {
		c.finish(nil, nil, errors.New("the backend of this node cannot be compared"))
		return
	}
	asked, ok := r.snapshotTurn.beginCheckpoint()
	if !ok {
		c.finish(nil, nil, fmt.Errorf("%w: another snapshot is being taken, or has just failed", ErrBusy))
		return
	}
	a.beginSnapshot(asked, func(ctx context.Context, err error) {
		if err != nil {
			c.finish(nil, nil, fmt.Errorf("%w: %w", ErrBusy, err))
			return
		}
		snap, parts, err := r.digest(ctx, digester, c.position)
		c.finish(snap, parts, err)
	})
}

func (r *Replicator) digest(ctx context.Context, digester Digester, position Position) (*openSnapshot, map[string]*partDigest, error) {
	b, err := r.disk.snapshots.openBody(position.Index)
	if err != nil {
		return nil, nil, err
	}
	snap := &openSnapshot{body: b, position: position, origin: Identity{Cluster: r.identity.Cluster, Node: r.identity.ID}}
	parts := make(map[string]*partDigest)
	start := time.Now()
	pace, n := newPace(), 0
	err = digester.Digest(ctx, snap.snapshot(), func(part string, key, value uint64) {
		if n++; n%digestPaceItems == 0 {
			pace.rest(ctx)
		}
		p := parts[part]
		if p == nil {
			p = &partDigest{}
			parts[part] = p
		}
		p.add(key, value)
	})
	if err != nil {
		b.Close()
		return nil, nil, fmt.Errorf("digest the snapshot at index %d: %w", position.Index, err)
	}
	r.log.Info("digested", "index", position.Index, "took", time.Since(start).Round(time.Millisecond))
	return snap, parts, nil
}

// digestItem is the hashes of one item.
type digestItem struct{ key, value uint64 }

// items returns what is in some buckets of a part, sorted by key.
func (c *checkpoint) items(ctx context.Context, digester Digester, part string, buckets map[int]bool) ([]digestItem, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.snap == nil {
		return nil, fmt.Errorf("checkpoint %x is not there any more: %w", c.id, c.err)
	}
	var found []digestItem
	err := digester.Digest(ctx, c.snap.snapshot(), func(p string, key, value uint64) {
		if p == part && buckets[bucketOf(key)] {
			found = append(found, digestItem{key, value})
		}
	})
	sort.Slice(found, func(i, j int) bool { return found[i].key < found[j].key })
	return found, err
}
