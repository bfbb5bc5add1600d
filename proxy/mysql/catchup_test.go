package mysql

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// altering is a node whose server executes a schema change. It bears with that for longer than Config.Timeout, and ends a read
// only when that is over, or ctx is.
type altering struct {
	alwaysLeader
	over <-chan struct{}
}

func (n altering) Read(ctx context.Context, fn func(context.Context) error) error {
	select {
	case <-n.over:
		return fn(ctx)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w: this node's backend has applied index 1, not yet 2", raft.ErrNotDone, context.Cause(ctx))
	}
}

// sitting is a node that ends a read itself, when its own time is over.
type sitting struct{ alwaysLeader }

func (sitting) Read(context.Context, func(context.Context) error) error {
	return fmt.Errorf("%w: %w", raft.ErrNotDone, &raft.NoAnswerError{After: time.Millisecond})
}

// A read waits for a schema change as a transaction does, and is told what it has waited for.
func TestReadWaitsForSchemaChange(t *testing.T) {
	over := make(chan struct{})
	s := &session{server: &Server{ctx: t.Context(), node: altering{over: over}, cfg: Config{Timeout: time.Millisecond, GateTimeout: time.Hour}}}
	read := make(chan error, 1)
	go func() { read <- s.catchUp() }()
	select {
	case err := <-read:
		t.Fatalf("the read did not wait: %v", err)
	case <-time.After(50 * time.Millisecond): // many times Timeout
	}
	close(over)
	if err := <-read; err != nil {
		t.Errorf("after the schema change: %v", err)
	}

	s.server.node, s.server.cfg.GateTimeout = altering{}, 2*time.Millisecond
	var told *wire.Error
	if err := s.catchUp(); !errors.As(err, &told) || told.Code != codeLockTimeout || told.Message != "Nexus: not executed: a schema change was executed for 2ms; try again" {
		t.Errorf("behind one that does not end: %v", err)
	}
	s.server.node = sitting{}
	if err := s.catchUp(); !errors.As(err, &told) || told.Code != codeUnknown {
		t.Errorf("where there is no schema change: %v", err)
	}

	var final *finalError
	s.reader = true
	if err := s.catchUp(); !errors.As(err, &final) || final.told.Code != codeShutdown {
		t.Errorf("a reader where there is no schema change: %v", err)
	}
}
