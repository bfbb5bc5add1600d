package guard

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pair returns a guarded connection and the client's end of it.
func pair(t testing.TB, limits Limits) (*Conn, net.Conn) {
	t.Helper()
	ln := NewListener(mustListen(t), limits)
	type accepted struct {
		c   net.Conn
		err error
	}
	ch := make(chan accepted, 1)
	go func() {
		c, err := ln.Accept()
		ch <- accepted{c, err}
	}()
	client := mustDial(t, ln.Addr().String())
	a := <-ch
	if a.err != nil {
		t.Fatal(a.err)
	}
	t.Cleanup(func() { _ = a.c.Close() })
	return a.c.(*Conn), client
}

func readString(t testing.TB, c *Conn) string {
	t.Helper()
	buf := make([]byte, 1<<17)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func mustWrite(t testing.TB, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func waitDone(ctx context.Context, t testing.TB) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(40 * time.Second):
		t.Fatal("the context did not end")
	}
}

func TestWatchSeesClose(t *testing.T) {
	for name, leave := range map[string]func(net.Conn){
		"close": func(c net.Conn) { _ = c.Close() },
		"reset": func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() },
		"half":  func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			c, client := pair(t, DefaultLimits())
			ctx, stop := c.WatchDisconnect(context.Background())
			defer stop()
			if ctx.Err() != nil {
				t.Fatal("ended too early")
			}
			leave(client)
			waitDone(ctx, t)
			if cause := context.Cause(ctx); !errors.Is(cause, ErrDisconnected) {
				t.Errorf("cause %v", cause)
			}
			stop()
			if _, err := c.Read(make([]byte, 16)); err == nil {
				t.Error("Read succeeded")
			}
			again, stop := c.WatchDisconnect(context.Background())
			if !errors.Is(context.Cause(again), ErrDisconnected) {
				t.Error("a later watch does not know that the client is gone")
			}
			stop()
		})
	}
}

func TestWatchOwnClose(t *testing.T) {
	c, _ := pair(t, DefaultLimits())
	ctx, stop := c.WatchDisconnect(context.Background())
	defer stop()
	_ = c.Close()
	waitDone(ctx, t)
}

func TestWatchParent(t *testing.T) {
	c, client := pair(t, DefaultLimits())
	parent, cancel := context.WithCancelCause(context.Background())
	ctx, stop := c.WatchDisconnect(parent)
	mine := errors.New("mine")
	cancel(mine)
	waitDone(ctx, t)
	if !errors.Is(context.Cause(ctx), mine) {
		t.Errorf("cause %v", context.Cause(ctx))
	}
	stop()
	mustWrite(t, client, "PING\r\n")
	if got := readString(t, c); got != encode([]string{"PING"}) {
		t.Errorf("read %q", got)
	}
}

// What arrives during watches is read afterwards, in order, with what had
// arrived before and what comes later.
func TestWatchKeepsOrder(t *testing.T) {
	c, client := pair(t, DefaultLimits())
	mustWrite(t, client, "BLPOP 0\r\n*2\r\n$4\r\nEC")
	if got := readString(t, c); got != encode([]string{"BLPOP", "0"}) {
		t.Fatalf("read %q", got)
	}
	rest := "HO\r\n$3\r\nabc\r\nPING 1\r\nPI"
	for i := range len(rest) {
		ctx, stop := c.WatchDisconnect(context.Background())
		mustWrite(t, client, rest[i:i+1])
		if i%2 == 0 {
			time.Sleep(time.Millisecond)
		}
		stop()
		stop()
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Fatalf("cause %v", context.Cause(ctx))
		}
	}
	mustWrite(t, client, "NG 2\r\n")
	want := encode([]string{"ECHO", "abc"}, []string{"PING", "1"}, []string{"PING", "2"})
	var got string
	for len(got) < len(want) {
		got += readString(t, c)
	}
	if got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

// A client that talks on is read ahead of only so far.
func TestWatchIsBounded(t *testing.T) { synctest.Test(t, testWatchIsBounded) }

func testWatchIsBounded(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	c := guardOn(server, DefaultLimits())
	defer c.Close()
	body := strings.Repeat("x", 9<<20)
	_, stop := c.WatchDisconnect(context.Background())
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(client, encode([]string{"SET", body}))
		sent <- err
	}()
	synctest.Wait()
	select {
	case err := <-sent:
		t.Fatalf("all was taken (%v)", err)
	default:
	}
	stop()
	if len(c.ahead) != watchLimit {
		t.Errorf("read %d ahead", len(c.ahead))
	}
	if _, stop := c.WatchDisconnect(context.Background()); true {
		stop() // there is nothing it could do
	}
	want := encode([]string{"SET", body})
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// The reader's own deadline is neither lost nor does it end the watch.
func TestWatchAndReadDeadline(t *testing.T) {
	c, client := pair(t, DefaultLimits())
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := c.WatchDisconnect(context.Background())
	mustWrite(t, client, "PI")
	if err := c.SetReadDeadline(time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Millisecond)
	if ctx.Err() != nil {
		t.Error("the deadline ended the watch")
	}
	stop()
	var ne net.Error
	if _, err := c.Read(make([]byte, 64)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("error %v, want a timeout", err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, client, "NG\r\n")
	if got := readString(t, c); got != encode([]string{"PING"}) {
		t.Errorf("read %q", got)
	}
}

func TestWatchLeaksNothing(t *testing.T) {
	c, client := pair(t, DefaultLimits())
	before := runtime.NumGoroutine()
	for i := range 2000 {
		_, stop := c.WatchDisconnect(context.Background())
		if i%100 == 0 {
			mustWrite(t, client, "PING\r\n")
		}
		stop()
	}
	// stop has seen the watcher's last statement, not its exit.
	waitFor(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	want := strings.Repeat(encode([]string{"PING"}), 20)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("read %q (%v)", got, err)
	}
}
