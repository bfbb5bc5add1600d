package mysql

import (
	"context"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A session that executes a statement does not read from its client, so it would not notice that this one has left, and go on
// waiting for a lock, with those that it has. Neither does it look at the time for which it may lock tables.

const (
	// absentPause is how often clients are looked at whose statements are being executed.
	absentPause = 500 * time.Millisecond
	// absentPauses is after how many of these pauses a client that sends nothing any more has left. A node that stops says that
	// for its clients, who still get their answers: see relay.pump.
	absentPauses = 6
	// holdupPauses is after how many of these pauses without a commit it is looked whether somebody holds up the others.
	holdupPauses = 2
	// interruptTimeout bounds the way to the server.
	interruptTimeout = 5 * time.Second
)

// watchClients interrupts statements whose clients have left, or have locked tables for too long, and makes sure that nobody
// holds up all others.
func (s *Server) watchClients() {
	tick := time.NewTicker(absentPause)
	defer tick.Stop()
	quiet, commits := 0, uint64(0) // so often in a row nothing was committed
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if ids := s.overdue(); len(ids) > 0 {
			ctx, cancel := context.WithTimeout(s.ctx, interruptTimeout)
			if err := s.backend.Interrupt(ctx, ids); err != nil {
				s.cfg.Logger.Warn("statements of clients that have left could not be interrupted", "err", err)
			}
			cancel()
		}
		quiet++
		if now := s.stats.commits.Load(); now != commits || !s.gate.crowded() {
			quiet, commits = 0, now
		}
		if quiet >= holdupPauses {
			quiet = 0
			s.endHoldups()
		}
	}
}

// endHoldups is for a client that has locked rows that every commit writes, by which nothing is committed any more.
func (s *Server) endHoldups() {
	ctx, cancel := context.WithTimeout(s.ctx, interruptTimeout)
	defer cancel()
	if err := s.backend.EndHoldups(ctx); err != nil && s.ctx.Err() == nil {
		s.cfg.Logger.Warn("nothing is committed, and it is not known whether somebody holds that up", "err", err)
	}
}

// overdue returns the connections to the server on which statements are to be interrupted.
func (s *Server) overdue() (ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.session == nil || !c.session.executing.Load() {
			c.absent = 0
			continue
		}
		if c.absent++; !wire.HungUp(c.accepted) {
			c.absent = 0
		}
		if c.absent >= absentPauses || c.session.lockOverdue() {
			ids = append(ids, c.session.id)
		}
	}
	return ids
}
