package redis

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

const (
	// minExpiryWait and maxExpiryWait bound the time between two looks at the index.
	minExpiryWait = time.Millisecond
	maxExpiryWait = 100 * time.Millisecond
	// failedExpiryWait is the pause after a proposal that failed.
	failedExpiryWait = time.Second
)

// Expirer deletes keys whose deadline has come and that nobody asks for. Each node has one; it works on the leader only.
type Expirer struct {
	rep     Replicator
	index   DeadlineIndex
	timeout time.Duration
	log     *slog.Logger
}

// NewExpirer returns the Expirer for the backend with this index.
func NewExpirer(cfg Config, rep Replicator, index DeadlineIndex) *Expirer {
	return &Expirer{rep: rep, index: index, timeout: cfg.Timeout, log: cfg.Logger}
}

// Run works until ctx ends. It returns the error of ctx, or nil when the node was stopped or removed.
func (e *Expirer) Run(ctx context.Context) error {
	timer := time.NewTimer(maxExpiryWait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		wait, err := e.step(ctx, failpoint.Now().UnixMilli())
		if errors.Is(err, raft.ErrStopped) || errors.Is(err, raft.ErrRemoved) {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("deleting due keys failed, will try again", "error", err, "wait", wait)
		}
		timer.Reset(wait)
	}
}

// step has everything deleted that is due now, and returns how long to wait.
func (e *Expirer) step(ctx context.Context, now int64) (time.Duration, error) {
	next, ok := e.index.NextDue()
	if !ok || !leads(e.rep.Status()) {
		return maxExpiryWait, nil
	}
	if next > now {
		return min(max(time.Duration(next-now)*time.Millisecond, minExpiryWait), maxExpiryWait), nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout, &raft.NoAnswerError{After: e.timeout})
	defer cancel()
	if _, err := e.rep.Propose(ctx, nil); err != nil {
		return failedExpiryWait, err
	}
	return minExpiryWait, nil
}

func leads(st raft.Status) bool { return st.ID != 0 && st.Leader == st.ID }
