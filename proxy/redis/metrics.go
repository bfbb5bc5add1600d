package redis

import (
	"errors"
	"sync/atomic"

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
	// NotDone and Unknown count proposals, not commands; Failed counts reads and everything else.
	NotDone uint64
	Unknown uint64
	Failed  uint64
}

type metrics struct {
	panics, notDone, unknown, other atomic.Uint64
	blocked                         atomic.Int64
}

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
