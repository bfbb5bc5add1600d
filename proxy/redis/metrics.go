package redis

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

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
	// reads and writes time phases: from the moment at which their commands are handed on to that at which the last is
	// answered.
	reads, writes, transactions prometheus.Histogram
	blocked                     atomic.Int64
}

// phaseBuckets are bounds in seconds, from a read under a lease to a request that is given up.
var phaseBuckets = []float64{
	.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

func newMetrics(commands int) metrics {
	phase := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: phaseBuckets,
		})
	}
	return metrics{
		commands:     make([]atomic.Uint64, commands),
		reads:        phase("nexus_redis_reads_seconds", "How long reads of clients took; those of a pipeline that go out together count once."),
		writes:       phase("nexus_redis_writes_seconds", "How long writes of clients took; those of a pipeline that go out together count once."),
		transactions: phase("nexus_redis_transactions_seconds", "How long EXEC took."),
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
