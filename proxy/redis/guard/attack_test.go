package guard

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/redcon"
)

// victim is a redcon server behind a guard: ECHO, BIG n (n bytes), PING, QUIT.
type victim struct {
	addr   string
	ln     *Listener
	ran    atomic.Int64 // commands the handler has seen
	mu     sync.Mutex
	closed []error
}

func startVictim(t testing.TB, inner net.Listener, limits Limits) *victim {
	t.Helper()
	v := &victim{addr: inner.Addr().String(), ln: NewListener(inner, limits)}
	handler := func(conn redcon.Conn, cmd redcon.Command) {
		v.ran.Add(1)
		switch strings.ToLower(string(cmd.Args[0])) {
		case "echo":
			conn.WriteBulk(cmd.Args[1])
		case "len":
			conn.WriteInt(len(cmd.Args[1]))
		case "big":
			conn.WriteBulk(make([]byte, 64<<20))
			_ = redcon.BaseWriter(conn).Flush()
		case "quit":
			conn.WriteString("OK")
		default:
			conn.WriteString("PONG")
		}
	}
	srv := redcon.NewServer(v.addr, handler, nil, func(_ redcon.Conn, err error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.closed = append(v.closed, err)
	})
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(v.ln) }()
	t.Cleanup(func() {
		_ = v.ln.Close()
		<-done
		waitFor(t, "all connections to be closed", func() bool { return v.ln.Conns() == 0 })
	})
	return v
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("waited too long for %s", what)
			return
		}
	}
}

// peakHeap runs f and returns the largest heap seen meanwhile, in bytes.
func peakHeap(f func()) uint64 {
	runtime.GC()
	var peak uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return peak
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// Input that ends or wedges a bare redcon is answered as Redis answers it.
func TestAttackRefused(t *testing.T) {
	v := startVictim(t, mustListen(t), DefaultLimits())
	for in, want := range map[string]string{
		"*1\r\n$9223372036854775807\r\nx":            "-ERR Protocol error: invalid bulk length\r\n",
		"*9223372036854775807\r\n":                   "-ERR Protocol error: invalid multibulk length\r\n",
		"*2000000000\r\n":                            "-ERR Protocol error: invalid multibulk length\r\n",
		"*1\r\n$2000000000\r\n":                      "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$-9223372036854775808\r\n":            "-ERR Protocol error: invalid bulk length\r\n",
		"PING\r\n*1\r\n$9223372036854775807\r\nx":    "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n",
		strings.Repeat("x", 64<<10+1):                "-ERR Protocol error: too big inline request\r\n",
		"*0\r\n*-1\r\n\r\nPING\r\n":                  "+PONG\r\n",
		"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n":   "+OK\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n": "",
		"PING\r\nHost: x\r\nPING\r\n":                "+PONG\r\n",
	} {
		t.Run(fmt.Sprintf("%.30q", in), func(t *testing.T) {
			got, err := converse(v.addr, in)
			if got != want || err != nil {
				t.Errorf("got %q (%v), want %q", got, err, want)
			}
		})
	}
}

// The error comes at once, also when the client waits for it.
func TestAttackNoWaiting(t *testing.T) {
	v := startVictim(t, mustListen(t), DefaultLimits())
	for _, in := range []string{"*1\r\n$2000000000\r\n", "*2000000000\r\n", "*3\r\n$3\r\nSET\r\n$536870912000\r\n"} {
		c := mustDial(t, v.addr)
		if _, err := io.WriteString(c, in); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err != nil || !bytes.HasPrefix(b, []byte("-ERR Protocol error: invalid ")) {
			t.Errorf("%q: %q %v", in, b, err)
		}
	}
}

// A promise costs nothing: 200 clients announce 512 MB each.
func TestAttackAnnounced(t *testing.T) {
	v := startVictim(t, mustListen(t), DefaultLimits())
	before := liveHeap()
	conns := make([]net.Conn, 200)
	for i := range conns {
		c := mustDial(t, v.addr)
		conns[i] = c
		if _, err := io.WriteString(c, "*1048576\r\n$536870912\r\nx"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "200 connections", func() bool { return v.ln.Conns() == 200 })
	time.Sleep(50 * time.Millisecond)
	if grown := int64(liveHeap()) - int64(before); grown > 16<<20 {
		t.Errorf("200 announcements cost %d bytes", grown)
	}
	if n := v.ran.Load(); n != 0 {
		t.Errorf("%d commands ran", n)
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

// dripListener makes every read from a client return one byte.
type dripListener struct{ net.Listener }

type dripConn struct{ net.Conn }

func (l dripListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return dripConn{c}, err
}

func (c dripConn) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(1, len(p))]) }

// A bare redcon overflows its stack after 1.7 MB that arrive byte by byte.
func TestAttackDrip(t *testing.T) {
	v := startVictim(t, dripListener{mustListen(t)}, DefaultLimits())
	c := mustDial(t, v.addr)
	body := bytes.Repeat([]byte("\r\n$*"), 560<<10)
	go func() {
		_, _ = c.Write(appendFrame(nil, [][]byte{[]byte("LEN"), body}))
	}()
	got, err := bufio.NewReader(c).ReadString('\n')
	if want := fmt.Sprintf(":%d\r\n", len(body)); got != want || err != nil {
		t.Fatalf("got %q (%v), want %q", got, err, want)
	}
	_ = c.Close()
}

// A million arguments, in small pieces, take linear time: four times as many about four times, and not sixteen. That is time of
// the processor, which does not tell how busy the machine is.
func TestAttackManyArguments(t *testing.T) {
	v := startVictim(t, mustListen(t), DefaultLimits())
	few, many := costOfArguments(t, v, 1<<18), costOfArguments(t, v, 1<<20)
	if many > 9*few {
		t.Errorf("a million arguments take %v, and a quarter of that %v", many, few)
	}
}

// costOfArguments is what a PING with so many arguments takes of the processor, at both ends.
func costOfArguments(t *testing.T, v *victim, n int) time.Duration {
	t.Helper()
	c := mustDial(t, v.addr)
	runtime.GC()
	begun := processorTime(t)
	go func() {
		_, _ = fmt.Fprintf(c, "*%d\r\n$4\r\nPING\r\n", n)
		args := []byte(strings.Repeat("$0\r\n\r\n", 1<<10))
		for range n >> 10 {
			_, _ = c.Write(args)
		}
	}()
	got, err := bufio.NewReader(c).ReadString('\n')
	if got != "+PONG\r\n" || err != nil {
		t.Fatalf("got %q (%v)", got, err)
	}
	_ = c.Close()
	return processorTime(t) - begun
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// Large requests cost a small multiple of their size while they run, and
// nothing afterwards: not in the guard and not in redcon.
func TestAttackLargeIsReleased(t *testing.T) {
	const clients, size = 12, 8 << 20
	v := startVictim(t, mustListen(t), DefaultLimits())
	before := liveHeap()
	conns := make([]net.Conn, clients)
	body := appendFrame(nil, [][]byte{[]byte("LEN"), make([]byte, size)})
	ping := encode([]string{"PING"})
	for i := range conns {
		conns[i] = mustDial(t, v.addr)
		if _, err := conns[i].Write(append(body, ping...)); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(":%d\r\n+PONG\r\n", size)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conns[i], got); err != nil || string(got) != want {
			t.Fatalf("got %q (%v), want %q", got, err, want)
		}
	}
	time.Sleep(50 * time.Millisecond) // for the last Read to begin
	// The client's own copy of one request is still there.
	if grown := int64(liveHeap()) - int64(before) - int64(cap(body)); grown > 2*size {
		t.Errorf("%d idle clients hold %d MB", clients, grown>>20)
	}
	runtime.KeepAlive(body)
	// They still work, byte for byte.
	for _, c := range conns {
		word := strings.Repeat("w", 10000)
		if _, err := io.WriteString(c, encode([]string{"ECHO", word})+"PING\r\n"); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("$%d\r\n%s\r\n+PONG\r\n", len(word), word)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("got %.40q (%v)", got, err)
		}
		_ = c.Close()
	}
}

// redcon's buffer must not creep up under a steady stream of commands.
func TestAttackStream(t *testing.T) {
	v := startVictim(t, mustListen(t), DefaultLimits())
	c := mustDial(t, v.addr)
	one := encode([]string{"LEN", strings.Repeat("x", 1234)})
	const batches, perBatch = 200, 300 // 75 MB
	batch := []byte(strings.Repeat(one, perBatch))
	peak := peakHeap(func() {
		go func() {
			for range batches {
				if _, err := c.Write(batch); err != nil {
					return
				}
			}
		}()
		r := bufio.NewReader(c)
		for i := range batches * perBatch {
			if got, err := r.ReadString('\n'); got != ":1234\r\n" || err != nil {
				t.Fatalf("reply %d: %q %v", i, got, err)
			}
		}
	})
	if peak > 48<<20 {
		t.Errorf("heap grew to %d MB", peak>>20)
	}
	_ = c.Close()
}

// A client that asks for much and reads nothing is cut off, and what it asked
// for does not pile up.
func TestAttackDoesNotRead(t *testing.T) {
	limits := DefaultLimits()
	limits.WriteTimeout = 300 * time.Millisecond
	for name, cmds := range map[string]int{"one by one": 1, "pipeline": 20} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, mustListen(t), limits)
			c := mustDial(t, v.addr)
			peak := peakHeap(func() {
				for range 20 / cmds {
					if _, err := io.WriteString(c, strings.Repeat("BIG\r\n", cmds)); err != nil {
						break
					}
				}
				waitFor(t, "the client to be cut off", func() bool { return v.ln.Conns() == 0 })
			})
			// Building one reply takes its slice and redcon's growing copy.
			if peak > 5*64<<20 {
				t.Errorf("heap grew to %d MB", peak>>20)
			}
			waitFor(t, "the closed callback", func() bool {
				v.mu.Lock()
				defer v.mu.Unlock()
				return len(v.closed) == 1
			})
			v.mu.Lock()
			defer v.mu.Unlock()
			if len(v.closed) == 1 && !errors.Is(v.closed[0], ErrSlowClient) {
				t.Errorf("closed with %v", v.closed[0])
			}
		})
	}
}
