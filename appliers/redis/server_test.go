package redis

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/raft"
)

// server is a redis-server of a test's own.
type server struct {
	t    testing.TB
	addr string
	port string
	dir  string
	args []string
	cmd  *exec.Cmd
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), args: args}
	s.addr, s.port = freePort(t)
	s.start()
	t.Cleanup(func() {
		s.kill()
		// A child of it that writes a file may live a moment longer.
		for end := time.Now().Add(40 * time.Second); os.RemoveAll(s.dir) != nil && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	})
	return s
}

// freePort returns the address and the number of a port that nobody else is given, here or in the tests of other packages.
func freePort(t testing.TB) (addr, port string) {
	t.Helper()
	number, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Address(number), strconv.Itoa(number)
}

func (s *server) start() {
	s.t.Helper()
	args := append([]string{
		"--port", s.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir,
		"--logfile", filepath.Join(s.dir, "log"),
	}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("redis-server must be installed: %v", err)
	}
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			_, _ = c.Write([]byte("PING\r\n"))
			buf := make([]byte, 5)
			_, err = io.ReadFull(c, buf)
			_ = c.Close()
			if err == nil && (string(buf) == "+PONG" || string(buf) == "-NOAU") {
				return
			}
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("redis-server did not start: %v\n%s", err, log)
		}
	}
}

func (s *server) kill() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

func (s *server) restart() { s.kill(); s.start() }

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	if sig != syscall.SIGSTOP {
		return
	}
	// The signal alone lets the threads go on until the system gets round to each.
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		s.t.Fatalf("wait for the stop: %v, %v", status, err)
	}
}

// do runs a command over a connection of its own and returns the raw reply.
func (s *server) do(db int, args ...string) string {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	c := &conn{Conn: nc, timeout: 20 * time.Second}
	c.r = newReplyReader(c, 4096)
	replies, err := c.roundTrip([]string{"SELECT", fmt.Sprint(db)}, args)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(replies[1])
}

var testID = raft.Identity{Cluster: 0xc1, Node: 0x0a}

func testConfig(addr string) Config {
	cfg := NewConfig()
	cfg.Addr = addr
	cfg.ReplyTimeout = 5 * time.Second
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

func newBackend(t testing.TB, cfg Config) *Backend {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func openBackend(t testing.TB, cfg Config) *Backend {
	t.Helper()
	b := newBackend(t, cfg)
	if _, err := b.Open(context.Background(), testID); err != nil {
		t.Fatal(err)
	}
	return b
}

func command(args ...string) []byte { return appendStrings(nil, args...) }

// op is one command in database 0, flagged as the proxy would.
func op(args ...string) raft.Command { return opIn(0, args...) }

func opIn(db int, args ...string) raft.Command {
	var flags ItemFlags
	switch strings.ToUpper(args[0]) {
	case "SET", "GETEX", "PEXPIREAT", "RESTORE", "RENAME", "RENAMENX", "COPY", "MOVE", "SWAPDB", "FLUSHDB", "FLUSHALL", "EVAL", "FCALL":
		flags = ItemDeadline
	}
	return raft.Command{Data: AppendOp(nil, Item{DB: db, Flags: flags, Cmd: command(args...)}), Wanted: true}
}

func entry(index uint64, commands ...raft.Command) raft.Entry {
	return raft.Entry{Position: raft.Position{Term: 1, Index: index}, Stamp: int64(index), Commands: commands}
}

func mustApply(t testing.TB, b *Backend, entries ...raft.Entry) {
	t.Helper()
	if err := b.Apply(context.Background(), entries); err != nil {
		t.Fatal(err)
	}
}

// gate is a TCP proxy before a server that can cut connections or hold what goes through them.
type gate struct {
	l    net.Listener
	to   string
	wg   sync.WaitGroup
	mu   sync.Mutex
	cond *sync.Cond
	// onUp sees what a client sent; returning false cuts both sides after passing it on.
	onUp   func(p []byte) bool
	onDown func(p []byte) bool // sees what the server sent; returning false cuts instead of passing it on
	holdUp bool
	conns  []net.Conn
}

func newGate(t testing.TB, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{l: l, to: to}
	g.cond = sync.NewCond(&g.mu)
	g.wg.Add(1)
	go g.accept()
	t.Cleanup(func() {
		_ = l.Close()
		g.set(func() { g.holdUp = false })
		g.cut()
		g.wg.Wait()
	})
	return g
}

func (g *gate) addr() string { return g.l.Addr().String() }

func (g *gate) set(f func()) {
	g.mu.Lock()
	f()
	g.mu.Unlock()
	g.cond.Broadcast()
}

// cut closes all connections.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

func (g *gate) accept() {
	defer g.wg.Done()
	for {
		down, err := g.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", g.to)
		if err != nil {
			_ = down.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, up, down)
		g.mu.Unlock()
		g.wg.Add(2)
		go g.pipe(up, down, true)
		go g.pipe(down, up, false)
	}
}

func (g *gate) pipe(to, from net.Conn, up bool) {
	defer g.wg.Done()
	held := false
	// A connection that is held keeps its side to the server when the client goes away, as a network would.
	defer func() {
		_ = from.Close()
		_ = to.Close()
	}()
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			g.mu.Lock()
			for up && g.holdUp {
				held = true
				g.cond.Wait()
			}
			pass := true
			if up && g.onUp != nil {
				pass = g.onUp(buf[:n])
			} else if !up && g.onDown != nil {
				pass = g.onDown(buf[:n])
			}
			g.mu.Unlock()
			if !up && !pass {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil || !pass {
				return
			}
		}
		if err != nil {
			if up && held {
				time.Sleep(200 * time.Millisecond)
			}
			return
		}
	}
}
