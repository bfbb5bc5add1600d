package redis

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// Stats of a Server. All but Clients and Blocked count since it was made.
type Stats struct {
	// Clients are the connections that are open now.
	Clients int
	// Blocked are those of them that wait in a blocking command.
	Blocked int
	// Refused counts the clients that found no room.
	Refused uint64
	// Panics counts the sessions that a bug ended.
	Panics uint64
	// Denied counts commands that a user may not run, and logins that failed; Slowed how often a client sent more
	// commands a second than it may; Touched transactions that were not executed because of a watched key.
	Denied, Slowed, Touched uint64
	// NotDone and Unknown count proposals, not commands; Failed counts reads and everything else.
	NotDone uint64
	Unknown uint64
	Failed  uint64
}

type metrics struct {
	panics, notDone, unknown, other, denied, slowed, touched atomic.Uint64
	// commands counts by Spec.Index.
	commands []atomic.Uint64
	times    commandTimes
	stats    commandStats
	errors   errorStats
	// reads and writes time phases: from the moment at which their commands are handed on to that at which the last is
	// answered.
	reads, writes, transactions *histogram
	blocked                     atomic.Int64
	// evictedBefore is how many keys were evicted before the last CONFIG RESETSTAT.
	evictedBefore atomic.Uint64
	// expiredBefore is how many keys had expired before it.
	expiredBefore atomic.Uint64
}

// phaseBounds are from a read under a lease to a request that is given up.
var phaseBounds = []time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

func newMetrics(commands int) metrics {
	return metrics{
		commands:     make([]atomic.Uint64, commands),
		times:        newCommandTimes(commands),
		stats:        newCommandStats(commands),
		reads:        newHistogram(phaseBounds),
		writes:       newHistogram(phaseBounds),
		transactions: newHistogram(phaseBounds),
	}
}

// count counts a command.
func (m *metrics) count(spec *policy.Spec) { m.commands[spec.Index].Add(1) }

// failed counts an error from below.
func (m *metrics) failed(err error) {
	switch {
	case errors.Is(err, raft.ErrOutcomeUnknown):
		m.unknown.Add(1)
	case errors.Is(err, raft.ErrNotDone):
		m.notDone.Add(1)
	default:
		m.other.Add(1)
	}
}

// Stats returns what the server has counted. It may be called from any goroutine.
func (s *Server) Stats() Stats {
	st := Stats{
		Blocked: int(s.metrics.blocked.Load()),
		Panics:  s.metrics.panics.Load(),
		Denied:  s.metrics.denied.Load(),
		Slowed:  s.metrics.slowed.Load(),
		Touched: s.metrics.touched.Load(),
		NotDone: s.metrics.notDone.Load(),
		Unknown: s.metrics.unknown.Load(),
		Failed:  s.metrics.other.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Clients = len(s.sessions)
	if s.ln != nil {
		st.Refused = s.ln.Refused()
	}
	return st
}
