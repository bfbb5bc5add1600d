package mysql

import (
	"net"
	"testing"
	"time"
)

// countedDeadlines is a connection that counts how often its deadline is moved.
type countedDeadlines struct {
	net.Conn
	moved int
	last  time.Time
}

func (c *countedDeadlines) SetReadDeadline(t time.Time) error {
	c.moved, c.last = c.moved+1, t
	return nil
}

func (c *countedDeadlines) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func TestSeldomDeadline(t *testing.T) {
	of := new(countedDeadlines)
	c := &seldomDeadline{Conn: of, slack: 4 * time.Second}
	begun := time.Now()
	for _, step := range []struct {
		at    time.Time
		moved bool
	}{
		{begun.Add(32 * time.Second), true},
		{begun.Add(32 * time.Second), false},
		{begun.Add(35 * time.Second), false},
		{begun.Add(36 * time.Second), true},
		{begun, true}, // who closes it does not wait
		{time.Time{}, true},
		{begun.Add(36 * time.Second), true},
	} {
		before := of.moved
		if err := c.SetReadDeadline(step.at); err != nil {
			t.Fatal(err)
		}
		if moved := of.moved > before; moved != step.moved {
			t.Errorf("deadline of %v: moved %v, want %v", step.at.Sub(begun), moved, step.moved)
		}
		if step.moved && !of.last.Equal(step.at) {
			t.Errorf("deadline is %v, want %v", of.last, step.at)
		}
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(begun.Add(36 * time.Second)); err != nil || of.last.IsZero() {
		t.Error("a deadline after none was not set")
	}
}
