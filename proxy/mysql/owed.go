package mysql

import "time"

// owedPause is how often it is asked how far the others are, while they have to look for rows that this node's server has committed.
const owedPause = 250 * time.Millisecond

// watchOwed tells the backend what the others have caught up with.
func (s *Server) watchOwed() {
	tick := time.NewTicker(owedPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if s.backend.Owes() {
			s.backend.Settle(s.node.AppliedByMajority(s.ctx))
		}
	}
}
