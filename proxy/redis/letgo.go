package redis

import (
	"context"
	"slices"
)

// letGo runs the CLIENT KILL and CLIENT UNBLOCK of a transaction before its commands are proposed, and waits until the
// clients that waited and that they mean do not any more: Redis serves none of them with what the transaction brings. The
// other effects on clients cannot be told from the same a moment later.
//
// A transaction with watched keys may yet turn out not to be executed, so there they have their turn behind it.
func (s *session) letGo(steps []step) {
	var waiting []*block
	for i := range steps {
		q := steps[i].later
		if q == nil || q.d.Spec.Name != "client|kill" && q.d.Spec.Name != "client|unblock" {
			continue
		}
		if waiting == nil {
			waiting = s.srv.waitingClients()
		}
		steps[i].literal, steps[i].later = s.runLocal([]byte{}, q.d.Spec, q.cmd.Args), nil
	}
	waiting = slices.DeleteFunc(waiting, func(w *block) bool { return w.ctx.Err() == nil && !w.session.conn.Closed() })
	if len(waiting) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.srv.ctx, s.srv.cfg.Timeout)
	defer cancel()
	for _, w := range waiting {
		select {
		case <-w.over:
		case <-ctx.Done():
			return // without a quorum the transaction will not be executed either
		}
	}
}

// waitingClients returns what clients of this node wait in.
func (s *Server) waitingClients() []*block {
	var waiting []*block
	for _, c := range s.sessionList() {
		c.shown.Lock()
		if c.shown.block != nil {
			waiting = append(waiting, c.shown.block)
		}
		c.shown.Unlock()
	}
	return waiting
}
