package redis

import "time"

// slowDown waits until the client may have another command run. What came before is answered meanwhile.
func (s *session) slowDown() {
	wait := s.rate.Take(time.Now())
	if wait == 0 {
		return
	}
	s.endPhase()
	s.flush()
	s.takeArrived()
	s.releasePushes()
	defer s.holdPushes()
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
