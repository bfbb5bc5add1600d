package redis

import (
	"runtime"
	"sync/atomic"
	"time"
)

// entrance keeps commands of two clients in the order in which the node has read them, where one may have to wait: what a
// client writes after another has sent a BLPOP finds that one waiting. From where it is known that a command may wait, until
// it stands in line for the log, others that stand in line later let it pass. It is a matter of microseconds, and costs two
// loads while nobody is there.
type entrance struct {
	begun, done atomic.Uint64
}

// entrancePatience bounds how long one lets others pass: they may have stopped for a reason of their own.
const entrancePatience = time.Millisecond

// begin takes a place behind those who are there, and waits for them. The caller must call end on it.
func (e *entrance) begin() *place {
	p := &place{of: e, number: e.begun.Add(1)}
	e.pass(p.number - 1)
	return p
}

// letPass waits for those who are there.
func (e *entrance) letPass() {
	if e.begun.Load() == 0 {
		return // as ever on most nodes
	}
	// Of connections that became readable at once, Go's poller runs the last one first.
	runtime.Gosched()
	e.pass(e.begun.Load())
}

// pass waits until as many have ended.
func (e *entrance) pass(number uint64) {
	if e.done.Load() >= number {
		return
	}
	for begin := time.Now(); e.done.Load() < number && time.Since(begin) < entrancePatience; {
		runtime.Gosched()
	}
}

// place is a command at the entrance.
type place struct {
	of     *entrance
	number uint64
	ended  bool
}

// end lets the others go on. Only the first call counts.
func (p *place) end() {
	if p.ended {
		return
	}
	p.ended = true
	// In order, but for those that had no patience.
	p.of.done.Add(1)
}
