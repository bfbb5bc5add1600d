package mysql

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

// KILL ends a wait for the transactions of others, and for a schema change, and nothing of it is left behind.
func TestInterruptedWaits(t *testing.T) {
	s := &Server{cfg: NewConfig(), gate: newGate(), ctx: t.Context()}
	waiting := &session{server: s, id: 7}
	s.conns = map[*connection]bool{{session: waiting}: true, {session: &session{server: s, id: 8}}: true, {}: true}
	killed := func(wait func() error) error {
		result := make(chan error, 1)
		go func() { result <- wait() }()
		for waiting.interrupt.Load() == nil {
			runtime.Gosched()
		}
		s.interrupt(8)
		s.interrupt(7)
		return <-result
	}
	if err := s.gate.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := killed(func() error {
		return waiting.behindBarrierFor(time.Hour, func(context.Context) error { return errors.New("it was done") })
	})
	if !errors.Is(err, errInterrupted) {
		t.Errorf("schema change: %v", err)
	}
	s.gate.leave()
	if err := s.gate.exclude(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := killed(waiting.enterGate); !errors.Is(err, errInterrupted) {
		t.Errorf("begin: %v", err)
	}
	s.gate.readmit()
	if err := waiting.enterGate(); err != nil {
		t.Errorf("begin, later: %v", err)
	}
	waiting.leaveGate()
	if err := waiting.behindBarrierFor(time.Hour, func(context.Context) error { return nil }); err != nil {
		t.Errorf("schema change, later: %v", err)
	}
	if waiting.interrupt.Load() != nil {
		t.Error("there is something left to interrupt")
	}
}
