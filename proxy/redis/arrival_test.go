package redis

import (
	"runtime"
	"testing"
	"time"
)

// arrivalsOf returns what the log is told, in the order in which it was proposed.
func arrivalsOf(p *proxy) <-chan time.Time {
	told := make(chan time.Time, 100)
	note := func(at time.Time) { told <- at }
	p.log.arrivals.Store(&note)
	return told
}

// awaitArrivals returns when the kernel has begun to stamp what comes. Elsewhere than on Linux it never does.
func awaitArrivals(t *testing.T, c *client, told <-chan time.Time) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); runtime.GOOS == "linux"; time.Sleep(time.Millisecond) {
		c.cmd("SET warm up")
		if at := <-told; !at.IsZero() {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody knows when commands come")
		}
	}
}

// The log is told when a command came, so that of two that are there at once the first is before the second.
func TestCommandsAreProposedWithTheirArrival(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only there the kernel tells")
	}
	p := startProxy(t)
	told := arrivalsOf(p)
	a, b := dial(t, p.addr), dial(t, p.addr)
	awaitArrivals(t, a, told)
	for range 10 {
		before := time.Now()
		a.cmd("RPUSH list x")
		first := <-told
		b.cmd("BLPOP list 1")
		second := <-told
		if first.Before(before) || !second.After(first) || time.Now().Before(second) {
			t.Fatalf("arrived at %v and %v, sent since %v", first, second, before)
		}
	}
}

// What stands behind a command that had to wait has not come before that had its outcome.
func TestPipelineArrivesOnce(t *testing.T) {
	p := startProxy(t)
	told := arrivalsOf(p)
	c := dial(t, p.addr)
	awaitArrivals(t, c, told)
	c.send([]byte("SET a 1\r\nGET a\r\nSET a 2\r\nBLPOP none 1\r\n"))
	for range 3 {
		c.reply()
	}
	if first := <-told; runtime.GOOS == "linux" && first.IsZero() {
		t.Error("nobody knows when the first came")
	}
	for range 2 {
		if later := <-told; !later.IsZero() {
			t.Errorf("one behind it is said to have come at %v", later)
		}
	}
}
