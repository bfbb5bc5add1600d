package redis

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

const endless = "while true do redis.call('exists', 'k') end"

// startEndless begins, at a position, to apply an entry that ends when the function that it returns is called, which returns the entry.
func startEndless(t *testing.T, s *server, b *Backend, position uint64) (kill func() raft.Entry) {
	t.Helper()
	mustApply(t, b, entry(position+1, op("SET", "k", "v")))
	entries := []raft.Entry{entry(position+2, op("EVAL", endless, "0"))}
	applied := make(chan error, 1)
	go func() { applied <- b.Apply(context.Background(), entries) }()
	return func() raft.Entry {
		t.Helper()
		for {
			s.do(0, "SCRIPT", "KILL")
			select {
			case err := <-applied:
				if err != nil {
					t.Fatal(err)
				}
				return entries[0]
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

func awaitBusy(t *testing.T, b *Backend, want bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); b.Busy() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("Busy() is not %t", want)
		}
	}
}

// A command that takes longer than a connection may be silent is waited for, and so is what was asked besides.
func TestBusyServerIsWaitedFor(t *testing.T) {
	s := startServer(t, "--busy-reply-threshold", "3600000")
	cfg := testConfig(s.addr)
	cfg.ReplyTimeout = 2 * time.Second
	b := openBackend(t, cfg)
	if _, _, err := b.Read(context.Background(), 0, command("GET", "k"), 1); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	c, _, err := b.dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	e := entry(2, op("ZADD", "z", "1", "m"), op("EVAL", "for i = 1, 300000 do redis.call('zadd', 'z', i, i) end", "0"),
		op(append(strings.Fields("ZUNIONSTORE d 60"), strings.Fields(strings.Repeat("z ", 60))...)...), op("GET", "k"))
	applied := make(chan error, 1)
	go func() { applied <- b.Apply(context.Background(), []raft.Entry{e}) }()
	awaitBusy(t, b, true)
	got, _, err := b.Read(context.Background(), 0, command("GET", "k"), 1)
	if err != nil || string(got) != "$1\r\nv\r\n" {
		t.Errorf("a read meanwhile: %q, %v", got, err)
	}
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < cfg.ReplyTimeout {
		t.Skipf("the server has taken only %v", took)
	}
	if got := string(e.Commands[3].Reply); got != "$1\r\nv\r\n" || e.Commands[3].Err != nil {
		t.Errorf("the reply is lost: %q, %v", got, e.Commands[3].Err)
	}
}

// So is one that was filled just before.
func TestBusyServerIsWaitedForBehindARestore(t *testing.T) {
	s := startServer(t, "--busy-reply-threshold", "100")
	cfg := testConfig(s.addr)
	b := openBackend(t, cfg)
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	snap := takeSnapshot(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s.restart()
	cfg.ReplyTimeout = time.Second
	filled := newBackend(t, cfg)
	if err := filled.Restore(t.Context(), testID, snapshotOf(snap, 1)); err != nil {
		t.Fatal(err)
	}
	kill := startEndless(t, s, filled, 1)
	awaitBusy(t, filled, true)
	time.Sleep(2 * cfg.ReplyTimeout)
	kill()
}

// A server that is stopped in the middle of a command is not busy any more, and is again when it goes on.
func TestStoppedServerIsNotBusy(t *testing.T) {
	s := startServer(t, "--busy-reply-threshold", "100")
	cfg := testConfig(s.addr)
	cfg.ReplyTimeout = time.Minute
	b := openBackend(t, cfg)
	kill := startEndless(t, s, b, 0)
	for range 2 {
		awaitBusy(t, b, true)
		s.signal(syscall.SIGSTOP)
		awaitBusy(t, b, false)
		s.signal(syscall.SIGCONT)
	}
	e := kill()
	if got := string(e.Commands[0].Reply); !strings.HasPrefix(got, "-ERR Error running script") && !strings.Contains(got, "killed by user") {
		t.Errorf("the script was answered with %q, %v", got, e.Commands[0].Err)
	}
}

// Nor is one that is stopped before: it computes nothing, and nothing says that it would.
func TestStoppedServerIsNeverBusy(t *testing.T) {
	for _, here := range []bool{true, false} {
		s := startServer(t)
		cfg := testConfig(s.addr)
		cfg.ReplyTimeout = 3 * busyAfter
		b := openBackend(t, cfg)
		mustApply(t, b, entry(1, op("SET", "k", "v")))
		if !here {
			b.process.Store(nil)
		}
		s.signal(syscall.SIGSTOP)
		applied := make(chan error, 1)
		go func() { applied <- b.Apply(context.Background(), []raft.Entry{entry(2, op("SET", "k", "w"))}) }()
		for err := error(nil); err == nil; time.Sleep(5 * time.Millisecond) {
			select {
			case err = <-applied:
				if err == nil {
					t.Fatal("a server that is stopped has answered")
				}
			default:
				if b.Busy() {
					t.Fatal("it is busy")
				}
			}
		}
		s.signal(syscall.SIGCONT)
	}
}

// Where nothing can be seen of its process, a server is known by its BUSY to run a script. Before it says so, a script is
// given some time.
func TestBusyServerElsewhere(t *testing.T) {
	s := startServer(t, "--busy-reply-threshold", "100")
	cfg := testConfig(s.addr)
	cfg.ReplyTimeout = time.Minute
	b := openBackend(t, cfg)
	b.process.Store(nil)
	kill := startEndless(t, s, b, 0)
	for range 2 {
		awaitBusy(t, b, true)
		b.busyUntil.Store(0) // the time given is over
	}
	awaitBusy(t, b, true)
	s.signal(syscall.SIGSTOP)
	awaitBusy(t, b, false)
	s.signal(syscall.SIGCONT)
	kill()
}

// A process of another machine, or of a container, may have the number of one that is here.
func TestProcessOfTheServer(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	if b.process.Load() == nil {
		t.Error("the server's process is not seen")
	}
	c := b.conn
	for _, executable := range []string{"", "/usr/bin/other"} {
		was := c.server.executable
		c.server.executable = executable
		if p := processOf(c); p != nil {
			t.Errorf("%q is %s", executable, *p)
		}
		c.server.executable = was
	}
	c.server.process = 1 << 30
	if p := processOf(c); p != nil {
		t.Errorf("a process that is not there is %s", *p)
	}
}
