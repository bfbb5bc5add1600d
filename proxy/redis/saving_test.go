package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSaveWaitsForSnapshot(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	began, end := make(chan struct{}), make(chan error)
	take := func(ctx context.Context) error {
		began <- struct{}{}
		select {
		case err := <-end:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.log.snapshot.Store(&take)

	c.send(appendRequest(nil, "SAVE"))
	<-began
	want(t, other.cmd("SET k v"), replyOK) // nobody else waits
	end <- nil
	want(t, c.reply(), replyOK)

	c.send(appendRequest(nil, "SAVE"))
	<-began
	end <- errors.New("no space left\r\non device")
	want(t, c.reply(), "-ERR nexus: no snapshot: no space left on device\r\n")
	awaitLine(t, other, "rdb_last_bgsave_status:err")

	id := strings.TrimSpace(c.cmd("CLIENT ID")[1:])
	c.send(appendRequest(nil, "SAVE"))
	<-began
	want(t, other.cmd("CLIENT UNBLOCK "+id+" ERROR"), ":1\r\n")
	want(t, c.reply(), "-"+errTextUnblocked+"\r\n")

	c.send(appendRequest(nil, "SAVE"))
	<-began
	want(t, other.cmd("CLIENT KILL ID "+id), ":1\r\n")
	if !c.eof() {
		t.Error("a client that was killed while it saved is answered")
	}
}

func TestBackgroundSave(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	began, end := make(chan struct{}), make(chan error)
	take := func(context.Context) error {
		began <- struct{}{}
		return <-end
	}
	p.log.snapshot.Store(&take)

	want(t, c.cmd("BGSAVE x"), "-ERR syntax error\r\n")
	want(t, c.cmd("BGSAVE schedule x"), "-ERR syntax error\r\n")
	want(t, c.cmd("BGSAVE"), replySaving)
	<-began
	awaitLine(t, c, "rdb_bgsave_in_progress:1")
	want(t, c.cmd("BGSAVE SCHEDULE"), "-"+errTextSaving+"\r\n")
	want(t, c.cmd("SAVE"), "-"+errTextSaving+"\r\n")
	end <- errors.New("no space left on device")
	awaitLine(t, c, "rdb_bgsave_in_progress:0")
	awaitLine(t, c, "rdb_last_bgsave_status:err")

	want(t, c.cmd("BGSAVE SCHEDULE"), replySavingLater)
	<-began
	end <- nil
	awaitLine(t, c, "rdb_last_bgsave_status:ok")

	// In a transaction that is not executed it does nothing.
	for _, line := range []string{"MULTI", "BGSAVE", "DISCARD", "MULTI", "BGSAVE", "SET k v"} {
		c.cmd(line)
	}
	want(t, c.cmd("EXEC"), "*2\r\n"+replySaving+replyOK)
	<-began
	end <- nil
	c.cmd("MULTI")
	want(t, c.cmd("SAVE"), "-ERR Command not allowed inside a transaction\r\n")
	want(t, c.cmd("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n")
}

// LASTSAVE tells of a snapshot that was asked for, whether or not there was anything new, and of others.
func TestLastSave(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	p.server.saving.last = time.Unix(1000, 0)
	want(t, c.cmd("LASTSAVE"), ":1000\r\n")
	p.log.snapshotAt.Store(2000)
	want(t, c.cmd("LASTSAVE"), ":2000\r\n")
	awaitLine(t, c, "rdb_last_save_time:2000")
	want(t, c.cmd("SAVE"), replyOK)
	if got := c.cmd("LASTSAVE"); got < ":17" || len(got) != len(":1700000000\r\n") {
		t.Errorf("after SAVE LASTSAVE is %q", got)
	}
}

// awaitLine waits until INFO has a line.
func awaitLine(t *testing.T, c *client, line string) {
	t.Helper()
	eventually(t, "INFO has no "+line, func() bool { return strings.Contains(c.cmd("INFO persistence"), "\r\n"+line+"\r\n") })
}
