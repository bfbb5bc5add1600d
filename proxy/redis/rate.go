package redis

import "time"

// rate holds up a client that sends more commands a second than it may. A second's worth may come at once.
type rate struct {
	interval time.Duration // between two commands
	// due is when the next command may come if none may come early.
	due time.Time
}

// newRate returns nil without a limit.
func newRate(perSecond int) *rate {
	if perSecond <= 0 {
		return nil
	}
	return &rate{interval: max(time.Second/time.Duration(perSecond), 1)}
}

// take counts a command, and returns how long it has to wait.
func (r *rate) take(now time.Time) time.Duration {
	if r.due.Before(now) {
		r.due = now
	}
	wait := r.due.Add(r.interval).Sub(now) - time.Second
	r.due = r.due.Add(r.interval)
	return max(wait, 0)
}

// slowDown waits until the client may have another command run. What came before is answered meanwhile.
func (s *session) slowDown() {
	wait := s.rate.take(time.Now())
	if wait == 0 {
		return
	}
	s.endPhase()
	s.flush()
	s.srv.metrics.slowed.Add(1)
	ctx, stop := s.conn.WatchDisconnect(s.srv.ctx)
	defer stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		s.ended = true
	}
}
