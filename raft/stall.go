package raft

import (
	"fmt"
	"sync/atomic"
	"time"
)

// logTurn is the turn of the raft loop that is under way. A turn waits for nothing but the disk of the log.
type logTurn struct {
	begun atomic.Int64 // on leaseClock; 0 between two turns
	bytes atomic.Int64 // that it writes
}

// timedTurn is turn, and lets others know how long it takes.
func (r *Replicator) timedTurn(m *mail) error {
	begun := r.leaseClock()
	r.logTurn.bytes.Store(0)
	r.logTurn.begun.Store(max(int64(begun), 1))
	defer r.logTurn.begun.Store(0)
	err := r.turn(m)
	if took := r.leaseClock() - begun; took >= lookStall+Allowance(int(r.logTurn.bytes.Load())) {
		r.log.Warn("writing the log took long: the disk of the data directory is slow, or this process was paused", "took", took.Round(time.Millisecond))
	}
	return err
}

// logStall is why nothing can be asked of a node whose disk hangs, or nil: as a leader it has lost its office, and as a follower hears of
// nothing.
func (r *Replicator) logStall() error {
	begun := r.logTurn.begun.Load()
	if begun == 0 {
		return nil
	}
	took := r.leaseClock() - time.Duration(begun)
	if took < lookStall+Allowance(int(r.logTurn.bytes.Load())) {
		return nil
	}
	return fmt.Errorf("the disk of the data directory has not taken what was written to the log for %v: it hangs or is too slow", took.Round(time.Second))
}
