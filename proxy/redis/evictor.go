package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

const (
	// evictPause is how often the leader looks whether keys have to be evicted while nobody waits for room.
	evictPause = 100 * time.Millisecond
	// failedEvictPause is the pause after a round that failed.
	failedEvictPause = time.Second
	// maxRounds is how many rounds a command waits for. With more to be evicted it is executed meanwhile, as in Redis.
	maxRounds = 16
	// marginShare of the limit, at most maxMargin bytes, is what a round frees beyond what is needed, so that most writes find
	// room without one.
	marginShare = 64
	maxMargin   = 8 << 20
	// aheadLess is how many bytes later than half of the margin allows a round begins ahead of time: small limits are used up.
	aheadLess = 64 << 10
)

// evictor has keys evicted when the local backend uses more memory than CONFIG SET maxmemory allows, for clients of this node
// that wait for room, and on the leader also when nobody does. It chooses keys by what it knows of them here. That they are
// evicted is an entry: every replica deletes them at the same place of the log.
//
// There is one round at a time, so that clients who wait together do not evict for each other.
type evictor struct {
	srv   *Server
	woken chan struct{}
	done  chan struct{} // closed when run has ended

	mu sync.Mutex
	// next is the first round that begins from now on; nil while nobody waits for it.
	next *evictionRound
}

// evictionRound is a round that somebody waits for.
type evictionRound struct {
	done    chan struct{} // closed at its end
	evicted int64         // keys; to be read when done is closed
}

func newEvictor(s *Server) *evictor {
	return &evictor{srv: s, woken: make(chan struct{}, 1), done: make(chan struct{})}
}

// wake has a round begin soon.
func (e *evictor) wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

// round waits for the end of a round that began after the call, and returns how many keys it has evicted, or 0 when ctx has
// ended.
func (e *evictor) round(ctx context.Context) (evicted int64) {
	e.mu.Lock()
	if e.next == nil {
		e.next = &evictionRound{done: make(chan struct{})}
	}
	next := e.next
	e.mu.Unlock()
	e.wake()
	select {
	case <-next.done:
		return next.evicted
	case <-e.done:
	case <-ctx.Done():
	}
	return 0
}

// begin takes those who wait for the round that begins now; nil if nobody does.
func (e *evictor) begin() *evictionRound {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.next
	e.next = nil
	return next
}

func (r *evictionRound) end(evicted int64) {
	if r != nil {
		r.evicted = evicted
		close(r.done)
	}
}

// run works until ctx ends, or the node was stopped or removed.
func (e *evictor) run(ctx context.Context) {
	defer close(e.done)
	timer := time.NewTimer(evictPause)
	defer timer.Stop()
	var failed time.Time
	for {
		asked := true
		select {
		case <-ctx.Done():
			return
		case <-e.woken:
		case <-timer.C:
			asked = e.srv.backend.MemoryLimit() > 0 && leads(e.srv.rep.Status())
		}
		timer.Reset(evictPause)
		if !asked {
			continue
		}
		round := e.begin()
		if time.Since(failed) < failedEvictPause {
			round.end(0)
			continue
		}
		evicted, err := e.evict(ctx)
		round.end(evicted)
		switch {
		case errors.Is(err, raft.ErrStopped) || errors.Is(err, raft.ErrRemoved):
			return
		case err != nil && ctx.Err() == nil:
			e.srv.log.Warn("evicting keys failed, will try again", "error", err, "wait", failedEvictPause)
			failed = time.Now()
		case evicted > 0:
			timer.Reset(0)
		}
	}
}

// makeRoom waits while keys are evicted for a command, and reports whether it may be executed then.
func (s *Server) makeRoom(rule evictionRule, limit int64) bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	for range maxRounds {
		evicted := s.evictor.round(ctx)
		look := s.memoryUse(limit)
		switch {
		case look.used <= limit:
			return true
		case look.evictable(rule) == 0:
			return false
		case evicted == 0:
			return true // not now: clients of this node are paused, or there is no leader
		}
	}
	return true
}

// marginOf returns how much below the limit a round wants to come.
func marginOf(limit int64) int64 { return min(limit/marginShare, maxMargin) }

// triggerOf returns how much may be in use until a round is asked for that nobody waits for.
func triggerOf(limit int64) int64 {
	margin := marginOf(limit)
	return limit - max(margin/2-aheadLess, margin/16)
}

// evict is one round. It returns how many keys were evicted.
func (e *evictor) evict(ctx context.Context) (int64, error) {
	s := e.srv
	limit, rule := s.backend.MemoryLimit(), ruleOf(s.backend.EvictionPolicy())
	if limit == 0 || rule.never {
		return 0, nil
	}
	if left, _ := s.pause.left(true, time.Now()); left > 0 {
		return 0, nil // nothing is to change meanwhile
	}
	look, err := s.lookAtMemory()
	if err != nil {
		return 0, fmt.Errorf("memory of the backend: %w", err)
	}
	// Somewhat less than the trigger, so that it is not asked again for each write.
	if look.used <= triggerOf(limit)-marginOf(limit)/32 || look.evictable(rule) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, &raft.NoAnswerError{After: s.cfg.Timeout})
	defer cancel()
	items, err := e.choose(ctx, rule, look, look.used-limit+marginOf(limit))
	if err != nil || len(items) == 0 {
		return 0, err
	}
	outcome, err := s.rep.Propose(ctx, [][]byte{backend.AppendOp(nil, items...)})
	if err != nil {
		return 0, err
	}
	s.tracker.await(outcome.Index) // who waits for room hears first what is gone
	if _, err := s.lookAtMemory(); err != nil {
		return 0, fmt.Errorf("memory of the backend: %w", err)
	}
	return evictedBy(outcome), nil
}

// evictedBy adds the replies to the items of an eviction up.
func evictedBy(outcome raft.Outcome) (n int64) {
	if len(outcome.Replies) != 1 {
		return 0
	}
	for replies := outcome.Replies[0].Data; len(replies) > 0; {
		size, err := replyLen(replies)
		if err != nil {
			return n
		}
		count, _ := replyInt(replies[:size])
		n, replies = n+count, replies[size:]
	}
	return n
}
