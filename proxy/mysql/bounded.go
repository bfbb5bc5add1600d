package mysql

import (
	"context"
	"time"
)

// bounded is a context of a session that ends after a time which is counted from when somebody first waits for it. Most
// questions to the cluster are answered at once, and a timer for each of them would cost as much as the question. It is for
// one goroutine.
type bounded struct {
	session *session
	timeout time.Duration
	waited  context.Context // nil until somebody waits
	cancel  context.CancelFunc
}

var _ context.Context = (*bounded)(nil)

func (b *bounded) wait() context.Context {
	if b.waited == nil {
		b.waited, b.cancel = b.session.interruptible(b.timeout)
	}
	return b.waited
}

// Deadline implements context.Context, as the others do.
func (b *bounded) Deadline() (time.Time, bool) { return b.wait().Deadline() }

// Done is closed when the time is over, the session is interrupted, or the server stops.
func (b *bounded) Done() <-chan struct{} { return b.wait().Done() }

// Err says that it is done.
func (b *bounded) Err() error { return b.wait().Err() }

// Value hands on what context.Cause asks for.
func (b *bounded) Value(key any) any { return b.wait().Value(key) }

// interrupted reports whether KILL has ended it.
func (b *bounded) interrupted() bool { return b.waited != nil && interrupted(b.waited) }

// stop ends it.
func (b *bounded) stop() {
	if b.cancel != nil {
		b.cancel()
	}
}
