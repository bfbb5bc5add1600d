package mysql

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/nexus-replication/nexus/raft"
)

// Who asks a node to execute a statement that cannot be served is told why and what to do, in words that are about the cluster.
func TestStatementsNotServed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		node    Node
		backend Backend
		says    string
	}{
		{"no leader", follower{}, scripted{}, "not executed: no leader is known: a majority of the nodes must run and reach each other; try again"},
		{"server that leaves", alwaysLeader{}, scripted{says: [][]byte{greetingPacket()}}, "lost during the login"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := NewConfig()
			cfg.Logger = slog.New(slog.DiscardHandler)
			cfg.Timeout = 100 * time.Millisecond
			s, err := New(cfg, tc.node, tc.backend)
			if err != nil {
				t.Fatal(err)
			}
			_, err = NewStatements(s, "root", "", "").Load(t.Context(), []byte("SELECT 1"), nil)
			if !errors.Is(err, raft.ErrNotDone) || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("told %v, want %q", err, tc.says)
			}
			for _, internal := range []string{"handle", "readInitial", "Handshake", "Auth", "io.", "ERROR"} {
				if strings.Contains(err.Error(), internal) {
					t.Errorf("it tells of %q: %v", internal, err)
				}
			}
		})
	}
}

// What a node has said of an unknown outcome is passed on, once.
func TestJudgeUnknownOutcome(t *testing.T) {
	told := commitError(fmt.Errorf("%w: no answer within 5s", raft.ErrOutcomeUnknown))
	err := judge(&gomysql.MyError{Code: told.Code, Message: told.Message, State: told.State})
	if want := "outcome unknown: the transaction may or may not be committed: no answer within 5s"; !errors.Is(err, raft.ErrOutcomeUnknown) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A connection that is lost before the answer leaves the outcome unknown, and says so without names of this program.
func TestJudgeLostConnection(t *testing.T) {
	err := judge(errors.New("io.ReadFull(header) failed. err EOF: connection was bad"))
	if !errors.Is(err, raft.ErrOutcomeUnknown) || strings.Contains(err.Error(), "io.") || !strings.Contains(err.Error(), "look at what") {
		t.Error(err)
	}
}
