package raft

import (
	"sync/atomic"
	"time"
)

const (
	// manyReaders are so many calls of Read at a time that they wait for processors or the backend, and not for messages.
	manyReaders = 2 * crowd
	// fewReaders are not worth waiting for any longer.
	fewReaders = crowd
	// enoughWrites share an entry well enough.
	enoughWrites = 2 * crowd
)

// readers counts the calls of Read that read from the backend, or wait for it to be far enough.
type readers struct {
	now atomic.Int64
	// noticed is set while the loop wants to be woken when they have become few.
	noticed atomic.Bool
}

func (r *Replicator) beginRead() { r.readers.now.Add(1) }

func (r *Replicator) endRead() {
	if r.readers.now.Add(-1) < fewReaders && r.readers.noticed.Load() && r.readers.noticed.CompareAndSwap(true, false) {
		r.mail.wake()
	}
}

// areMany reports whether at least so many read. Then the loop is woken when they have become few.
func (c *readers) areMany(least int64) bool {
	if c.now.Load() < least {
		return false
	}
	c.noticed.Store(true)
	return c.now.Load() >= least // looked at again: they may have ended before it was set
}

// readersFirst is what the loop knows of proposals that let readers go first. Where many clients read and a few write, there
// is seldom more than one proposal when an entry is committed, and the entries, one after the other, take more of the
// processors than all reads. So proposals gather for longer, for as long as the processors have reads to do.
type readersFirst struct {
	after  uint64 // index of the entry after which that was last looked at
	over   bool   // the readers do not go first, or not any longer
	queued int    // how many proposals there were when the readers began to; 0: they have not
	missed int    // how often in a row no proposal was added meanwhile
	rest   int    // entries after which the readers do not go first
}

// letsReadersGo reports whether what is queued waits for readers after the entry at last, for as long as is left, and if so,
// how many more proposals end that. It is asked again whenever something has come.
func (r *Replicator) letsReadersGo(last uint64, left time.Duration) (missing int) {
	g := &r.readersFirst
	if g.after != last {
		g.begin(last)
	}
	if g.over || !r.cfg.ReadersFirst {
		return 0
	}
	least := int64(manyReaders)
	if g.queued > 0 {
		least = fewReaders
	}
	missing = enoughWrites - len(r.queue)
	if left <= 0 || missing <= 0 || !r.readers.areMany(least) {
		g.end(len(r.queue))
		return 0
	}
	if g.queued == 0 {
		g.queued = len(r.queue)
	}
	r.wakeIn(left)
	return missing
}

func (g *readersFirst) begin(last uint64) {
	g.after, g.over, g.queued = last, false, 0
	if g.rest > 0 {
		g.rest--
		g.over = true
	}
}

// end learns from what came meanwhile: a client that is the only one to write waits less and less often.
func (g *readersFirst) end(queued int) {
	g.over = true
	if g.queued == 0 {
		return
	}
	if queued > g.queued {
		g.missed = 0
		return
	}
	g.missed = min(g.missed+1, mostMissed)
	g.rest = 1<<g.missed - 1
}
