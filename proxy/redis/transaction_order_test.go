package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

// What a transaction shows of the node is what its commands before that have made of it.
func TestTransactionShowsWhatItChanged(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, line := range []string{"MULTI", "INFO keyspace", "SET k v", "INFO keyspace", "CLIENT SETNAME me", "CLIENT GETNAME", "SELECT 3", "SET l v", "INFO keyspace"} {
		c.cmd(line)
	}
	parts := strings.Split(c.cmd("EXEC"), "# Keyspace\r\n")
	if len(parts) != 4 || strings.Contains(parts[1], "db0") || !strings.Contains(parts[2], "db0:keys=1") || !strings.Contains(parts[3], "db3:keys=1") {
		t.Errorf("EXEC: %q", parts)
	}
	if !strings.Contains(parts[2], "+OK\r\n$2\r\nme\r\n+OK\r\n") {
		t.Errorf("in its place: %q", parts[2])
	}
}

// A transaction that was not executed has not changed how the client is tracked.
func TestTrackingOfFailedTransaction(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("HELLO 3")
	p.log.proposeFails = func([][]byte) error {
		return fmt.Errorf("%w: %w", raft.ErrNotDone, errors.New("no leader"))
	}
	transaction := func(tracking string) {
		t.Helper()
		for _, line := range []string{"MULTI", tracking, "SET k v"} {
			c.cmd(line)
		}
		if reply := c.cmd("EXEC"); !strings.HasPrefix(reply, "-"+wordNotDone) {
			t.Errorf("EXEC: %q", reply)
		}
	}
	transaction("CLIENT TRACKING ON")
	want(t, c.cmd("CLIENT GETREDIR"), ":-1\r\n")
	want(t, c.cmd("CLIENT TRACKING ON BCAST PREFIX x"), replyOK)
	transaction("CLIENT TRACKING OFF")
	want(t, c.reply(), allForgotten)
	want(t, c.cmd("CLIENT TRACKINGINFO"), "%3\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$5\r\nbcast\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*1\r\n$1\r\nx\r\n")
}
