package network

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// echo answers each line with itself.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

// between returns a network in which this process is node a and dials b, and a connection to b.
func between(t *testing.T) (*Network, *net.TCPConn) {
	t.Helper()
	n := New(func() map[string]int { return map[string]int{"a": os.Getpid()} })
	t.Cleanup(n.Close)
	if err := n.Listen("b", "127.0.0.1:0", echo(t)); err != nil {
		t.Fatal(err)
	}
	return n, dial(t, n)
}

func dial(t *testing.T, n *Network) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", n.listeners["b"].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != text+"\n" {
		t.Fatalf("heard %q, %v, want %q", line, err, text)
	}
}

// silent fails if something arrives within a moment.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d, %v on a way that is cut", n, err)
	}
}

func TestCutHoldsBackEachDirection(t *testing.T) {
	for _, w := range []way{{"a", "b"}, {"b", "a"}} {
		n, c := between(t)
		say(t, c, "before")
		hear(t, c, "before")
		n.Set(w.from, w.to, func(r *Rule) { r.Cut = true })
		say(t, c, "held")
		silent(t, c)
		fresh := dial(t, n)
		say(t, fresh, "fresh")
		silent(t, fresh)
		n.Heal()
		hear(t, c, "held")
		hear(t, fresh, "fresh")
	}
}

func TestOtherWaysAreFree(t *testing.T) {
	n, c := between(t)
	n.Set("a", "c", func(r *Rule) { r.Cut = true })
	n.Set("c", "b", func(r *Rule) { r.Refuse = true })
	say(t, c, "free")
	hear(t, c, "free")
}

func TestDelay(t *testing.T) {
	n, c := between(t)
	n.Set("b", "a", func(r *Rule) { r.Delay = 100 * time.Millisecond })
	begin := time.Now()
	say(t, c, "slow")
	hear(t, c, "slow")
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("arrived after %v, want at least 100ms", took)
	}
}

func TestRefuseAndBreak(t *testing.T) {
	n, c := between(t)
	say(t, c, "x")
	hear(t, c, "x")
	n.Break("b", "a")
	ends(t, c)
	c = dial(t, n)
	say(t, c, "y")
	hear(t, c, "y")
	n.Set("b", "a", func(r *Rule) { r.Refuse = true })
	ends(t, c)
	ends(t, dial(t, n))
	n.Set("b", "a", func(r *Rule) { r.Refuse = false })
	c = dial(t, n)
	say(t, c, "z")
	hear(t, c, "z")
}

func ends(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d, %v from a connection that is broken", n, err)
	}
}

func TestStrangersAreNotPassedOn(t *testing.T) {
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	n := New(func() map[string]int { return map[string]int{"a": other.Process.Pid} })
	t.Cleanup(n.Close)
	if err := n.Listen("b", "127.0.0.1:0", echo(t)); err != nil {
		t.Fatal(err)
	}
	ends(t, dial(t, n))
}

func TestEndIsHeldBackToo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	n := New(func() map[string]int { return map[string]int{"a": os.Getpid()} })
	t.Cleanup(n.Close)
	if err := n.Listen("b", "127.0.0.1:0", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, n)
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	n.Set("b", "a", func(r *Rule) { r.Cut = true })
	far.Close()
	silent(t, c)
	n.Heal()
	ends(t, c)
}

func TestOnceAfter(t *testing.T) {
	n, c := between(t)
	done := make(chan struct{})
	n.OnceAfter("a", "b", 6, func() {
		n.Break("a", "b")
		close(done)
	})
	say(t, c, "123")
	hear(t, c, "123")
	say(t, c, "456")
	<-done
	ends(t, c)
	c = dial(t, n)
	say(t, c, "once only")
	hear(t, c, "once only")
}
