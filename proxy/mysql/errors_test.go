package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// What nobody knows is said once, wherever it stands in the error.
func TestOutcomeUnknownIsSaidOnce(t *testing.T) {
	const begin = "Nexus: outcome unknown: the transaction may or may not be committed"
	for want, err := range map[string]error{
		begin:                    raft.ErrOutcomeUnknown,
		begin + ": no answer":    fmt.Errorf("%w: no answer", raft.ErrOutcomeUnknown),
		begin + ": a: no answer": fmt.Errorf("a: %w: no answer", raft.ErrOutcomeUnknown),
	} {
		if got := commitError(err).Message; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Clients are told reasons, not the words of a library.
func TestErrorsTellNoInternals(t *testing.T) {
	late := fmt.Errorf("wait for the leader: %w", context.DeadlineExceeded)
	for name, make := range map[string]func(error) *wire.Error{
		"unavailable": unavailable, "commit": commitError, "capture": captureError,
	} {
		for _, kind := range []error{nil, raft.ErrOutcomeUnknown, raft.ErrNotDone, raft.ErrTooLarge, appliers.ErrTrespassed, appliers.ErrAstray, appliers.ErrUnfindable, appliers.ErrKeyless, appliers.ErrOwed} {
			err := late
			if kind != nil {
				err = errors.Join(kind, late)
			}
			if text := make(err).Message; strings.Contains(text, "context") || !strings.Contains(text, "no answer in time") {
				t.Errorf("%s, %v: %q", name, kind, text)
			}
		}
	}
}
