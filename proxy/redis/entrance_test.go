package redis

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// What comes later passes the entrance later, and nobody waits for what has left it.
func TestEntranceKeepsOrder(t *testing.T) {
	var e entrance
	e.letPass()
	first := e.begin()
	passed := make(chan uint64, 1)
	go func() {
		e.letPass()
		passed <- e.done.Load()
	}()
	first.end()
	first.end()
	if done := <-passed; done != 1 {
		t.Errorf("passed with %d of 1 ended", done)
	}
	second := e.begin()
	if e.begun.Load() != 2 || e.done.Load() != 1 {
		t.Errorf("begun %d, done %d", e.begun.Load(), e.done.Load())
	}
	// One that does not leave holds nobody up for long, and nobody twice.
	e.letPass()
	if done := e.done.Load(); done != 2 {
		t.Errorf("%d of 2 count as ended", done)
	}
	second.end()
	third := e.begin()
	if e.begun.Load() != 3 || e.done.Load() != 2 || len(e.places) != 1 {
		t.Errorf("begun %d, done %d, %d places", e.begun.Load(), e.done.Load(), len(e.places))
	}
	// One that waits at the entrance has its own place all the same.
	fourth := e.begin()
	if e.done.Load() != 3 || len(e.places) != 1 || e.places[0] != fourth {
		t.Errorf("done %d, %d places", e.done.Load(), len(e.places))
	}
	third.end()
	fourth.end()
	e.letPass()
}

// A client that does not read its replies is not at the entrance with what it has sent behind them.
func TestClientThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.do("SET", "big", strings.Repeat("x", flushBytes-1000))
	// It takes little before the sender has to wait.
	narrow := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		failed := raw.Control(func(fd uintptr) {
			err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536))
		})
		return errors.Join(failed, err)
	}}
	conn, err := narrow.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(appendRequest(appendRequest(nil, "GET", "big"), "BLPOP", "nolist", "0")); err != nil {
		t.Fatal(err)
	}
	blpop := p.server.table.Spec("blpop")
	deadline := time.Now().Add(40 * time.Second)
	for !p.server.sendsBefore(blpop) {
		if time.Now().After(deadline) {
			t.Fatal("the client does not hold up its session")
		}
		runtime.Gosched()
	}
	if begun := p.server.entrance.begun.Load(); begun != 0 {
		t.Errorf("%d have come to the entrance", begun)
	}
}

// sendsBefore reports whether a session whose last command is that sends replies just now.
func (s *Server) sendsBefore(spec *policy.Spec) bool {
	for _, c := range s.sessionList() {
		if c.lastCommand.Load() != spec {
			continue
		}
		if !c.sending.TryLock() {
			return true
		}
		c.sending.Unlock()
	}
	return false
}

// Whatever becomes of a command that may wait, it leaves the entrance.
func TestCommandsLeaveTheEntrance(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("RPUSH list 1")
	c.cmd("SET string x")
	want(t, c.cmd("BLPOP list 1"), "*2\r\n$4\r\nlist\r\n$1\r\n1\r\n")
	c.cmd("BLPOP string 1")
	c.cmd("MULTI")
	c.cmd("BLPOP list 1")
	c.cmd("EXEC")
	if begun, done := p.server.entrance.begun.Load(), p.server.entrance.done.Load(); begun != 2 || done != 2 {
		t.Errorf("begun %d, done %d", begun, done)
	}
}
