package raft

import (
	"fmt"
	"sync/atomic"
	"time"
)

// logWrite is what the raft loop is writing to the log.
type logWrite struct {
	made  time.Time
	begun atomic.Int64 // on its clock; 0 while nothing is written
	bytes atomic.Int64
}

// clock is never 0. Each request asks it while something is written, and leaseClock would be a call of the kernel.
func (w *logWrite) clock() time.Duration { return max(time.Since(w.made), 1) }

// write executes save, and lets others know how long that takes.
func (r *Replicator) write(bytes int, save func() error) error {
	begun := r.logWrite.clock()
	r.logWrite.bytes.Store(int64(bytes))
	r.logWrite.begun.Store(int64(begun))
	defer r.logWrite.begun.Store(0)
	err := save()
	if took := r.logWrite.clock() - begun; took >= lookStall+Allowance(bytes) {
		r.log.Warn("writing the log took long: the disk of the data directory is slow, or this process was paused", "took", took.Round(time.Millisecond))
	}
	return err
}

// logStall is why nothing can be asked of a node whose disk hangs, or nil: as a leader it has lost its office, and as a follower hears of
// nothing.
func (r *Replicator) logStall() error {
	begun := r.logWrite.begun.Load()
	if begun == 0 {
		return nil
	}
	took := r.logWrite.clock() - time.Duration(begun)
	if took < lookStall+Allowance(int(r.logWrite.bytes.Load())) {
		return nil
	}
	return fmt.Errorf("the disk of the data directory has not taken what was written to the log for %v: it hangs or is too slow", took.Round(time.Second))
}
