// Package patience bounds the time to wait for a backend that may be busy: the replicator does so in its calls, and what serves
// clients in theirs.
package patience

import (
	"context"
	"math"
	"time"
)

// Start returns a timer that calls end after timeout, or that much later for as long as busy reports so, unless ctx has ended by
// then. It may be stopped and reset as those of time.AfterFunc.
func Start(ctx context.Context, timeout time.Duration, busy func() bool, end func()) *time.Timer {
	var timer *time.Timer
	timer = time.AfterFunc(math.MaxInt64, func() { // it does not run before timer is set
		if ctx.Err() == nil && busy() {
			timer.Reset(timeout)
			return
		}
		end()
	})
	timer.Reset(timeout)
	return timer
}
