package redis

import (
	"testing"
	"time"
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
	// One that does not leave holds nobody up for long.
	begin := time.Now()
	e.letPass()
	if took := time.Since(begin); took < entrancePatience {
		t.Errorf("passed after %v", took)
	}
	second.end()
	e.letPass()
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
