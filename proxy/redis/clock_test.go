package redis

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// A phase has its own time, also again where the backend was busy, and says how long that was: not that of the phase before.
func TestPhasesHaveTheirOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := true
		clock := phaseClock{busy: func() bool {
			defer func() { busy = false }()
			return busy
		}}
		defer clock.release()
		clock.start(t.Context(), time.Second)
		clock.stop()
		begun := time.Now()
		ctx := clock.start(t.Context(), 3*time.Second)
		<-ctx.Done()
		var late *raft.NoAnswerError
		if took := time.Since(begun); took != 6*time.Second || !errors.As(context.Cause(ctx), &late) || late.After != 3*time.Second {
			t.Errorf("over after %v: %v", took, context.Cause(ctx))
		}
		clock.stop()

		first := clock.start(t.Context(), time.Second)
		clock.stop()
		if second := clock.start(t.Context(), time.Second); second != first || second.Err() != nil {
			t.Error("each phase costs a context")
		}
		clock.stop()
	})
}
