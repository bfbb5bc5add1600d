package redis

import (
	"context"
	"time"

	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/patience"
)

// phaseClock bounds the phases of a session in time. It makes one context serve the phases in a row that may take equally
// long, since a context with a timeout for each would be most of the work of a session.
type phaseClock struct {
	// busy reports that the backend takes long for what it does, and will answer: time begins again then.
	busy    func() bool
	timeout time.Duration // of the phases that ctx serves
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
}

// start returns a context that ends after timeout, or with parent, unless stop is called before.
func (c *phaseClock) start(parent context.Context, timeout time.Duration) context.Context {
	if c.ctx != nil && c.timeout == timeout {
		c.timer.Reset(timeout)
		return c.ctx
	}
	c.release()
	ctx, cancel := context.WithCancelCause(parent)
	cause := &raft.NoAnswerError{After: timeout}
	c.ctx, c.cancel, c.timeout = ctx, cancel, timeout
	c.timer = patience.Start(ctx, timeout, c.busy, func() { cancel(cause) })
	return ctx
}

// stop keeps the context for the next phase if it has not ended.
func (c *phaseClock) stop() {
	if !c.timer.Stop() {
		c.release()
	}
}

// release lets go of the context.
func (c *phaseClock) release() {
	if c.ctx == nil {
		return
	}
	c.timer.Stop()
	c.cancel(context.Canceled)
	c.ctx = nil
}

// writeContext is phaseContext, for a phase that replicates ops.
func (s *session) writeContext(ops [][]byte) context.Context {
	bytes := 0
	for _, op := range ops {
		bytes += len(op)
	}
	return s.clock.start(s.srv.ctx, s.srv.cfg.Timeout+raft.Allowance(bytes))
}

// phaseContext bounds one phase. The caller must call s.clock.stop afterwards.
func (s *session) phaseContext() context.Context {
	return s.clock.start(s.srv.ctx, s.srv.cfg.Timeout)
}
