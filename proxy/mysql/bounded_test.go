package mysql

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// A context that nobody waits for costs no timer; one that is waited for ends in time, and says why, also through what is
// derived from it.
func TestBounded(t *testing.T) {
	ctx, stopServer := context.WithCancel(t.Context())
	defer stopServer()
	s := &session{server: &Server{ctx: ctx}}
	idle := bounded{session: s, timeout: time.Millisecond}
	idle.stop()
	if idle.waited != nil {
		t.Error("a timer was started that nobody waits for")
	}

	b := bounded{session: s, timeout: time.Millisecond}
	defer b.stop()
	derived, cancel := context.WithTimeout(&b, time.Hour)
	defer cancel()
	<-derived.Done()
	var late *raft.NoAnswerError
	if err := context.Cause(derived); !errors.As(err, &late) || late.After != time.Millisecond {
		t.Errorf("the cause is %v", err)
	}

	endless := bounded{session: s, timeout: time.Hour}
	defer endless.stop()
	stopServer()
	<-endless.Done()
	if err := endless.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("the server has stopped: %v", err)
	}
}
