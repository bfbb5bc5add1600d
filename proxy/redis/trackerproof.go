package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

const (
	// provingInterval is how often the tracker makes sure that it has heard of all writes.
	provingInterval = time.Second
	// provingTimeout is how long it waits for a quorum then.
	provingTimeout = 2 * time.Second
	// provenFor is for how long clients may keep what they have read, counted from the moment at which the tracker was last
	// found to have heard of all writes. Then they have to forget it.
	provenFor = 5 * time.Second
)

// prover makes sure again and again that the tracker has heard of all writes that were answered, on whatever node, before
// a moment that is not long ago: the backend has applied them when a barrier has passed, and what it has told of them comes
// before its reply to a PING that was sent then.
type prover struct {
	k    *tracker
	run  *trackerRun
	conn *backend.Tracker

	mu     sync.Mutex
	asked  uint64 // number of the last PING
	begun  time.Time
	passed bool        // a barrier was passed before it
	expiry *time.Timer // ends what was proven last
}

var errUnproven = errors.New("it could not be made sure for too long that all changes were heard")

func (p *prover) prove(ctx context.Context) {
	ticker := time.NewTicker(provingInterval)
	defer ticker.Stop()
	defer p.stop()
	for n := uint64(1); ; n++ {
		begun := time.Now()
		barrier, cancel := context.WithTimeoutCause(ctx, provingTimeout, &raft.NoAnswerError{After: provingTimeout})
		err := p.k.srv.rep.Read(barrier, func(context.Context) error { return nil })
		cancel()
		p.mu.Lock()
		p.asked, p.begun, p.passed = n, begun, err == nil
		p.mu.Unlock()
		if err != nil {
			p.failed(err)
		}
		if p.conn.Ping(n) != nil {
			return // Next tells why
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// proven is called with what the backend has answered.
func (p *prover) proven(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := provenFor - time.Since(p.begun)
	if n != p.asked || !p.passed || left <= 0 {
		return
	}
	p.k.setSure(p.run)
	if p.expiry == nil {
		p.expiry = time.AfterFunc(left, func() { p.k.unsure(p.run, errUnproven) })
		return
	}
	p.expiry.Reset(left)
}

// failed notes why nobody can be told yet.
func (p *prover) failed(err error) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if !p.run.sure {
		p.run.err = err
	}
}

func (p *prover) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expiry != nil {
		p.expiry.Stop()
	}
}
