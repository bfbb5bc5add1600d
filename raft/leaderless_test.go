package raft

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLeaderlessAfterTheGrace(t *testing.T) {
	const grace = 2 * time.Second
	var l leaderless
	for _, step := range []struct {
		leader uint64
		at     time.Duration
		known  bool
	}{
		{0, 5 * time.Second, false},
		{0, 7 * time.Second, false},
		{1, 8 * time.Second, false}, // an election that took long
		{0, 9 * time.Second, false},
		{0, 11 * time.Second, false},
		{0, 12 * time.Second, true},
		{0, 13 * time.Second, true},
		{1, 14 * time.Second, false},
	} {
		l.tick(step.leader, step.at, grace)
		if l.known != step.known {
			t.Errorf("at %v with leader %d: known is %v", step.at, step.leader, l.known)
		}
	}
}

// Whoever asks a member that has missed a leader for long is told so; only the time of an election is waited for.
func TestLongWithoutLeader(t *testing.T) {
	var log logLines
	c := newTestCluster(t, 3, func(cfg *Config) {
		cfg.Timeout = time.Hour
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	c.propose(0, "k=v")
	leader := c.leader()
	c.stop(leader)
	left := (leader + 1) % 3
	c.stop((leader + 2) % 3)
	r := c.nodes[left]
	eventually(t, "the leader to be missed", func() bool { return r.Status().Leader == 0 })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for round := range 2 {
		_, err := r.Propose(ctx, [][]byte{[]byte("k=w")})
		if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), "no leader") {
			t.Errorf("round %d: a write got %v", round, err)
		}
		err = r.Read(ctx, func(context.Context) error { return nil })
		if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), "no leader") {
			t.Errorf("round %d: a read got %v", round, err)
		}
	}
	for what, ask := range map[string]func() error{
		"transfer": func() error { return r.TransferLeadership(ctx, 0) },
		"remove":   func() error { return r.RemoveMember(ctx, c.urls[leader], false) },
		"replace":  func() error { return r.ReplaceMember(ctx, c.urls[leader], freeURL(t)) },
		"add":      func() error { return r.AddMember(ctx, freeURL(t)) },
		"verify":   func() error { _, err := r.Verify(ctx); return err },
	} {
		if err := ask(); !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), "no leader") {
			t.Errorf("%s got %v", what, err)
		}
	}
	if ctx.Err() != nil {
		t.Error("nobody was told before the time was up")
	}
	c.start((leader + 2) % 3)
	eventually(t, "a write with a leader", func() bool {
		_, err := r.Propose(ctx, [][]byte{[]byte("k=x")})
		return err == nil
	})
	for _, want := range []string{"not serving until there is a leader", "a majority of the members is not reachable", c.urls[leader], "there is a leader again"} {
		eventually(t, "the log to tell of "+want, func() bool { return log.contains(want) })
	}
}

// logLines is what the nodes of a test write.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logLines) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

// What the leader has begun when it loses the majority does not wait for it for ever.
func TestChangeUnderWayWithoutMajority(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.propose(0, "k=v")
	leader := c.leader()
	r := c.nodes[leader]
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	waiting := make(chan error, 1)
	go func() { waiting <- r.AddMember(ctx, freeURL(t)) }() // nobody is there
	eventually(t, "the change to be under way", func() bool { return len(r.changeTurn) > 0 })
	for i := range c.nodes {
		if i != leader {
			c.stop(i)
		}
	}
	if err := <-waiting; !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("got %v", err)
	}
	if ctx.Err() != nil {
		t.Error("told only when the time was up")
	}
}
