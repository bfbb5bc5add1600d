package mysql

import (
	"context"
	"errors"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// KILL QUERY interrupts what the server executes. A session that waits in this node, for a schema change or for other sessions to end
// their transactions, is interrupted by this node.

// errInterrupted is what such a session is told.
var errInterrupted = &wire.Error{Code: codeInterrupted, State: "70100", Message: "Query execution was interrupted"}

// interruptible is context for a wait that KILL ends. cancel must be called by the session itself.
func (s *session) interruptible(timeout time.Duration) (ctx context.Context, cancel context.CancelFunc) {
	bounded, stop := s.context(timeout)
	ctx, interrupt := context.WithCancelCause(bounded)
	s.interrupt.Store(&interrupt)
	return ctx, func() {
		s.interrupt.Store(nil)
		interrupt(nil)
		stop()
	}
}

// interrupted reports whether KILL has ended ctx.
func interrupted(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errInterrupted) }

// interrupt ends what the session waits for whose connection to the server is called id, if there is one and it waits.
func (s *Server) interrupt(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.session == nil || c.session.id != id {
			continue
		}
		if interrupt := c.session.interrupt.Load(); interrupt != nil {
			(*interrupt)(errInterrupted)
		}
	}
}
