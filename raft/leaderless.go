package raft

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// leaderGrace is how many election timeouts a member waits without a leader, but no less than leastGrace, before it tells
// so to those who wait. A fail-over is over before that, also one whose first election was split.
const (
	leaderGrace = 2
	leastGrace  = 2 * time.Second
)

// leaderless is what a member knows of the absence of a leader. The loop owns it.
type leaderless struct {
	since time.Duration // on leaseClock, when the leader was first missed; 0 while there is one
	// known is true when it has been missed for longer than a fail-over takes.
	known bool
}

func (l *leaderless) tick(leader uint64, now, grace time.Duration) {
	switch {
	case leader != 0:
		*l = leaderless{}
	case l.since == 0:
		l.since = now
	default:
		l.known = now-l.since > grace
	}
}

// missLeader notes whether there is a leader, and writes to the log when one has been missed for longer than a fail-over
// takes. Loop only.
func (r *Replicator) missLeader() {
	before := r.noLeader.Load() // as of the last tick; an election may have ended since
	r.leaderless.tick(r.leader.Load(), r.leaseClock(), max(leaderGrace*r.cfg.ElectionTimeout(), leastGrace))
	r.noLeader.Store(r.leaderless.known)
	if r.leaderless.known == before {
		return
	}
	if before {
		r.log.Info("there is a leader again")
		return
	}
	var away []string
	for _, m := range r.Members() {
		if m.ID != r.identity.ID && !r.transport.active(m.ID) {
			away = append(away, m.URL)
		}
	}
	r.log.Warn("not serving until there is a leader", "err", r.whyWaiting(), "unreachable", strings.Join(away, ","))
}

// refuseQueued tells those whose commands are in no log yet that there is no leader. What an earlier leader may have
// taken waits for the next one, which settles it.
func (r *Replicator) refuseQueued() {
	kept := r.queue[:0]
	for _, p := range r.queue {
		if p.isEnding() || p.wait != nil && p.wait.again {
			kept = append(kept, p)
			continue
		}
		if p.state.CompareAndSwap(proposalQueued, proposalDone) {
			p.failed = fmt.Errorf("%w: %w", ErrNotDone, r.whyWaiting())
			p.done <- struct{}{}
		}
	}
	clear(r.queue[len(kept):])
	r.queue = kept
}

// refuseReads does the same for those who wait in a round of reads.
func (r *Replicator) refuseReads(next *readRound) {
	for _, round := range []*readRound{r.round, next} {
		if round != nil {
			round.failed = fmt.Errorf("%w: %w", ErrNotDone, r.whyWaiting())
			close(round.done)
		}
	}
	if r.round != nil {
		r.round = nil
		r.mail.wake() // for those who came while it was under way
	}
}

// whileRunning returns a context that ends with ctx and with the node.
func (r *Replicator) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.ctx, func() { cancel(r.stopCause()) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// errLeaderless ends what was asked of a leader, if there has been none for long.
type errLeaderless struct{ error }

func (e errLeaderless) Unwrap() error { return e.error }

// whileLed returns a context that ends with ctx, and when a leader has been missed for longer than a fail-over takes.
func (r *Replicator) whileLed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		tick := time.NewTicker(membershipPause)
		defer tick.Stop()
		for {
			if r.noLeader.Load() && r.leader.Load() == 0 {
				cancel(errLeaderless{r.whyWaiting()})
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		watcher.Wait()
	}
}

// leaderlessCause is why ctx of whileLed has ended, if it was for want of a leader, or nil.
func leaderlessCause(ctx context.Context) error {
	var missing errLeaderless
	if errors.As(context.Cause(ctx), &missing) {
		return missing
	}
	return nil
}

// notDoneWithout marks what ended for want of a leader as not done, unless something of it may have been committed.
func notDoneWithout(ctx context.Context, err error) error {
	if leaderlessCause(ctx) == nil || errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrNotDone) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotDone, err)
}
