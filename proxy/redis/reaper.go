package redis

import "time"

// The reaper looks at all clients a few times in the shortest limit, but not more often than it has to.
const (
	reapsPerLimit = 4
	minReapPause  = 10 * time.Millisecond
	maxReapPause  = time.Second
)

// reap closes clients that do not log in in time, and those that are idle for too long, until stop is closed.
func (s *Server) reap(stop <-chan struct{}) {
	limit := s.cfg.HandshakeTimeout
	if idle := s.cfg.IdleTimeout; idle > 0 {
		limit = min(limit, idle)
	}
	tick := time.NewTicker(min(max(limit/reapsPerLimit, minReapPause), maxReapPause))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, c := range s.overdue(now) {
				c.closeIdle()
			}
		case <-stop:
			return
		}
	}
}

// overdue returns the clients that are to be closed. One that is served just now is looked at again when it is not.
func (s *Server) overdue(now time.Time) (list []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		if c.state.Load() != stateIdle {
			continue // its clock starts again when it ends
		}
		stranger, idle := c.strangerFor(now), c.idleFor(now)
		if stranger > s.cfg.HandshakeTimeout || s.cfg.IdleTimeout > 0 && idle > s.cfg.IdleTimeout {
			list = append(list, c)
		}
	}
	return list
}

// strangerFor returns for how long the client has not said who it is, though it must.
func (s *session) strangerFor(now time.Time) time.Duration {
	since := s.strangerSince.Load()
	if since == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, since))
}

// idleFor returns for how long the client, which is idle, has asked for nothing since its last reply. One that listens is never idle.
func (s *session) idleFor(now time.Time) time.Duration {
	s.shown.Lock()
	listens := s.shown.sub != nil || s.shown.monitor != nil
	s.shown.Unlock()
	if listens {
		return 0
	}
	return now.Sub(time.Unix(0, s.lastActive.Load()))
}
