package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

func TestErrorReplies(t *testing.T) {
	path := errors.New("open /var/lib/nexus/wal/1.wal: no space left\r\non device")
	for _, tc := range []struct {
		err         error
		write, read string
	}{
		{fmt.Errorf("%w: no leader", raft.ErrNotDone), "TRYAGAIN nexus: not executed: ", "TRYAGAIN nexus: not executed: "},
		{fmt.Errorf("%w: %w", raft.ErrNotDone, raft.ErrStopped), "TRYAGAIN nexus: not executed: ", "TRYAGAIN nexus: not executed: "},
		{fmt.Errorf("%w: %w: twice", raft.ErrNotDone, raft.ErrNotDone), "TRYAGAIN nexus: not executed: twice", "TRYAGAIN nexus: not executed: twice"},
		{fmt.Errorf("a: %w: b: %w", raft.ErrOutcomeUnknown, raft.ErrOutcomeUnknown), "UNKNOWNOUTCOME nexus: the command may or may not have been executed: a: b", "TRYAGAIN nexus: not executed: a: b"},
		{fmt.Errorf("%w: load: %w: timeout", raft.ErrNotDone, raft.ErrOutcomeUnknown), "UNKNOWNOUTCOME nexus: the command may or may not have been executed: load: timeout", "TRYAGAIN nexus: not executed: load: timeout"},
		{raft.ErrOutcomeUnknown, "UNKNOWNOUTCOME nexus: the command may or may not have been executed: no reason", "TRYAGAIN nexus: not executed: no reason"},
		{fmt.Errorf("%w: bye", raft.ErrRemoved), "TRYAGAIN nexus: not executed: ", "TRYAGAIN nexus: not executed: "},
		{fmt.Errorf("%w: timeout", raft.ErrOutcomeUnknown), "UNKNOWNOUTCOME nexus: ", "TRYAGAIN nexus: not executed: "},
		{fmt.Errorf("%w: %w", raft.ErrOutcomeUnknown, raft.ErrStopped), "UNKNOWNOUTCOME nexus: ", "TRYAGAIN nexus: not executed: "},
		{fmt.Errorf("%w: 5 bytes", raft.ErrTooLarge), "ERR nexus: ", "TRYAGAIN nexus: not executed: "},
		{context.DeadlineExceeded, "UNKNOWNOUTCOME nexus: ", "TRYAGAIN nexus: not executed: "},
		{path, "UNKNOWNOUTCOME nexus: ", "TRYAGAIN nexus: not executed: "},
		{errors.New(strings.Repeat("x ", 1000)), "UNKNOWNOUTCOME nexus: ", "TRYAGAIN nexus: not executed: "},
	} {
		for _, pair := range [][2]string{{writeErrorText(tc.err), tc.write}, {readErrorText(tc.err), tc.read}} {
			got, prefix := pair[0], pair[1]
			if !strings.HasPrefix(got, prefix) {
				t.Errorf("%v: got %q, want prefix %q", tc.err, got, prefix)
			}
			if strings.ContainsAny(got, "\r\n") || strings.Contains(got, "context") || len(got) > 512 || strings.Contains(got, "/var") {
				t.Errorf("%v: bad reply %q", tc.err, got)
			}
		}
	}
	want(t, reason(fmt.Errorf("node %w", errors.New("http://10.0.0.1:9021 is down"))), "node http://10.0.0.1:9021 is down")
}

func TestProposeErrors(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	var fail error
	p.log.proposeFails = func([][]byte) error { return fail }
	fail = fmt.Errorf("%w: no leader", raft.ErrNotDone)
	want(t, c.cmd("SET k v"), "-TRYAGAIN nexus: not executed: no leader\r\n")
	want(t, c.cmd("GET k"), "$-1\r\n")
	fail = fmt.Errorf("%w: no answer", raft.ErrOutcomeUnknown)
	unknown := "-UNKNOWNOUTCOME nexus: the command may or may not have been executed: no answer\r\n"
	want(t, c.cmd("SET k v"), unknown)
	c.send([]byte("MULTI\r\nSELECT 3\r\nSET k v\r\nEXEC\r\nINCR n\r\nGET n\r\nPING\r\n"))
	for range 3 {
		c.reply()
	}
	want(t, c.reply(), unknown)
	// The rest of the pipeline is not run around a write whose outcome is unknown.
	earlier := "-TRYAGAIN nexus: not executed: an earlier command of the same pipeline failed\r\n"
	want(t, c.reply(), earlier)
	want(t, c.reply(), "-TRYAGAIN nexus: not executed: an earlier command of the same pipeline failed\r\n")
	want(t, c.reply(), "+PONG\r\n")
	fail = nil
	want(t, c.cmd("SET k v"), replyOK)
	if got := c.cmd("CLIENT INFO"); !strings.Contains(got, " db=0 ") {
		t.Errorf("a transaction that failed changed the database: %q", got)
	}
	fail = fmt.Errorf("%w: 10 bytes", raft.ErrTooLarge)
	c.send([]byte("SET k w\r\nGET k\r\n"))
	want(t, c.reply()+c.reply(), "-ERR nexus: proposal too large: 10 bytes\r\n$1\r\nv\r\n")
	st := p.server.Stats()
	if st.NotDone != 1 || st.Unknown != 2 || st.Failed != 1 || st.Clients != 1 {
		t.Errorf("stats: %+v", st)
	}
}

func TestReadErrors(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	p.log.readFails = func() error { return fmt.Errorf("%w: no quorum", raft.ErrNotDone) }
	failed := "-TRYAGAIN nexus: not executed: no quorum\r\n"
	c.send([]byte("GET a\r\nTTL b\r\nSET a b\r\nCOMMAND COUNT\r\n"))
	want(t, c.reply()+c.reply(), failed+failed)
	want(t, c.reply(), "-TRYAGAIN nexus: not executed: an earlier command of the same pipeline failed\r\n")
	want(t, c.reply(), ":240\r\n")
}

func TestLostReply(t *testing.T) {
	s := &session{}
	s.appendReply(&raft.Reply{Err: fmt.Errorf("apply: %w", raft.ErrReplyLost)})
	if got := string(s.out); !strings.HasPrefix(got, "-UNKNOWNOUTCOME nexus: the command was executed, but its reply was lost: ") {
		t.Errorf("got %q", got)
	}
}
