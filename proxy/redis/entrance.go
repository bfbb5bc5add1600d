package redis

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// entrance keeps commands of two clients in the order in which the node has read them, where one may have to wait: what a
// client writes after another has sent a BLPOP finds that one waiting. From where it is known that a command may wait, until
// it stands in line for the log, others that stand in line later let it pass. It is a matter of microseconds, and costs two
// loads while nobody is there.
type entrance struct {
	begun, done atomic.Uint64

	mu     sync.Mutex
	places []*place // those not ended, in order
}

// entrancePatience bounds how long one lets others pass: they may have stopped for a reason of their own. A place for which
// somebody has waited so long lapses: whoever stopped costs others this once, not at every command.
const entrancePatience = time.Millisecond

// begin takes a place behind those who are there, and waits for them. The caller must call end on it.
func (e *entrance) begin() *place {
	e.mu.Lock()
	p := &place{of: e, number: e.begun.Add(1)}
	e.places = append(e.places, p)
	e.mu.Unlock()
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
	for begin := time.Now(); e.done.Load() < number; runtime.Gosched() {
		if time.Since(begin) >= entrancePatience {
			e.lapse(number)
			return
		}
	}
}

// lapse ends the places up to number.
func (e *entrance) lapse(number uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.places) > 0 && e.places[0].number <= number {
		e.endLocked(e.places[0])
	}
}

// endLocked ends a place that has not ended. The caller holds mu.
func (e *entrance) endLocked(p *place) {
	p.ended = true
	at := slices.Index(e.places, p)
	e.places = slices.Delete(e.places, at, at+1)
	// In order, but for those that had no patience.
	e.done.Add(1)
}

// place is a command at the entrance.
type place struct {
	of     *entrance
	number uint64
	ended  bool // with of.mu
}

// end lets the others go on. Only the first call counts, and none if the place has lapsed.
func (p *place) end() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if !p.ended {
		p.of.endLocked(p)
	}
}
