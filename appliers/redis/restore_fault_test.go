package redis

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// large is a snapshot at index 1 of n values of 1 MB that do not compress.
func large(t testing.TB, n int) []byte {
	t.Helper()
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	value := make([]byte, 1<<20)
	e := entry(1)
	for i := range n {
		_, _ = rand.Read(value)
		e.Commands = append(e.Commands, op("SET", fmt.Sprint("k", i), string(value)))
	}
	mustApply(t, b, e)
	return takeSnapshot(t, b)
}

// hookReader calls hook once when so many bytes were read since the second Seek to the beginning but one: when that much
// was sent.
type hookReader struct {
	*bytes.Reader
	at    int
	hook  func()
	seeks int
}

func (r *hookReader) Seek(offset int64, whence int) (int64, error) {
	r.seeks++
	return r.Reader.Seek(offset, whence)
}

func (r *hookReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.hook != nil && r.seeks == 2 && int(r.Size())-r.Len() >= r.at {
		r.hook()
		r.hook = nil
	}
	return n, err
}

// Whatever breaks in the middle, the server is soon a master again, and the next call succeeds.
func TestRestoreBreaksOff(t *testing.T) {
	data := large(t, 20)
	for _, what := range []string{"server killed", "connection cut", "context ended"} {
		t.Run(what, func(t *testing.T) {
			s := startServer(t)
			g := newGate(t, s.addr)
			b := newBackend(t, testConfig(g.addr()))
			for tenth := range 11 {
				ctx, cancel := context.WithCancel(context.Background())
				snap := snapshotOf(data, 1)
				snap.Again = tenth > 0
				snap.Data = &hookReader{Reader: bytes.NewReader(data), at: min(len(data)*tenth/10+1, len(data)), hook: func() {
					switch what {
					case "server killed":
						s.kill()
					case "connection cut":
						g.cut()
					default:
						cancel()
					}
				}}
				err := b.Restore(ctx, otherID, snap)
				if err == nil {
					t.Errorf("tenth %d: no error", tenth)
				}
				if what == "server killed" {
					s.start()
				}
				isItself(t, s)
				cancel()
			}
			snap := snapshotOf(data, 1)
			snap.Again = true
			if err := b.Restore(context.Background(), otherID, snap); err != nil {
				t.Fatal(err)
			}
			mustApply(t, b, entry(2))
			if got := s.do(0, "DBSIZE"); got != ":20\r\n" {
				t.Errorf("%q", got)
			}
			isItself(t, s)
			if log, _ := os.ReadFile(filepath.Join(s.dir, "log")); bytes.Count(log, []byte("\n")) > 2000 {
				t.Errorf("the server came back and back: %d lines in its log", bytes.Count(log, []byte("\n")))
			}
		})
	}
}

// A server that hangs is noticed.
func TestRestoreServerHangs(t *testing.T) {
	data := large(t, 20)
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.ReplyTimeout = time.Second
	b := newBackend(t, cfg)
	snap := snapshotOf(data, 1)
	snap.Data = &hookReader{Reader: bytes.NewReader(data), at: len(data) / 2, hook: func() { s.signal(syscall.SIGSTOP) }}
	if err := b.Restore(context.Background(), otherID, snap); err == nil {
		t.Error("restored by a server that hangs")
	}
	s.signal(syscall.SIGCONT)
	restoreAgain(t, b, data)
	isItself(t, s)
}

// restoreAgain restores until it works, as raft does.
func restoreAgain(t testing.TB, b *Backend, data []byte) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		snap := snapshotOf(data, 1)
		snap.Again = true
		err := b.Restore(context.Background(), otherID, snap)
		if err == nil {
			return
		}
		var fatal *raft.FatalError
		if errors.As(err, &fatal) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// A server that is loading is waited for.
func TestRestoreServerLoads(t *testing.T) {
	data := large(t, 1)
	s := startServer(t, "--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024")
	b := newBackend(t, testConfig(s.addr))
	if _, err := b.Open(context.Background(), otherID); err != nil {
		t.Fatal(err)
	}
	s.do(0, "EVAL", "for i=1,1000 do redis.call('SET','k'..i,string.rep(i,100)) end", "0")
	s.do(0, "CONFIG", "SET", "key-load-delay", "1000")
	loaded := make(chan string)
	go func() { loaded <- s.do(0, "DEBUG", "RELOAD") }()
	for end := time.Now().Add(40 * time.Second); !strings.Contains(s.do(0, "INFO", "persistence"), "\nloading:1"); {
		if time.Now().After(end) {
			t.Fatal("the server does not load")
		}
	}
	snap := snapshotOf(data, 1)
	var fatal *raft.FatalError
	if err := b.Restore(context.Background(), otherID, snap); err == nil || errors.As(err, &fatal) {
		t.Error(err)
	}
	if b.Healthy() == nil {
		t.Error("healthy")
	}
	if got := <-loaded; got != "+OK\r\n" {
		t.Errorf("%q", got)
	}
	restoreAgain(t, b, data)
}

// TestRestoreHelper is no test: it is the process that TestProcessDiesInRestore has die.
func TestRestoreHelper(t *testing.T) {
	addr := os.Getenv("NEXUS_TEST_RESTORE")
	if addr == "" {
		t.Skip("only a part of TestProcessDiesInRestore")
	}
	data, err := os.ReadFile(os.Getenv("NEXUS_TEST_DATA"))
	if err != nil {
		t.Fatal(err)
	}
	snap := snapshotOf(data, 1)
	snap.Again = os.Getenv("NEXUS_TEST_AGAIN") != ""
	if at, err := strconv.Atoi(os.Getenv("NEXUS_TEST_AT")); err == nil {
		snap.Data = &hookReader{Reader: bytes.NewReader(data), at: at, hook: func() {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}}
	}
	t.Log(newBackend(t, testConfig(addr)).Restore(context.Background(), otherID, snap))
}

// dieInRestore runs Restore in another process, which is to die there.
func dieInRestore(t *testing.T, s *server, file string, again bool, env ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRestoreHelper$", "-test.v")
	cmd.Env = append(append(os.Environ(), "NEXUS_TEST_RESTORE="+s.addr, "NEXUS_TEST_DATA="+file), env...)
	if again {
		cmd.Env = append(cmd.Env, "NEXUS_TEST_AGAIN=1")
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the process was to die by a signal: %v\n%s", err, out)
	}
}

// The process dies while the server is its replica: the next one finds it so, and goes on.
func TestProcessDiesInRestore(t *testing.T) {
	data := large(t, 20)
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t)
	for i, at := range []int{1, len(data) / 2, len(data)} {
		dieInRestore(t, s, file, i > 0, "NEXUS_TEST_AT="+strconv.Itoa(at))
	}
	b := newBackend(t, testConfig(s.addr))
	if _, err := b.Open(context.Background(), otherID); err == nil {
		t.Error("a replica was opened")
	}
	b = newBackend(t, testConfig(s.addr))
	restoreAgain(t, b, data)
	mustApply(t, b, entry(2))
	if got := s.do(0, "DBSIZE"); got != ":20\r\n" {
		t.Errorf("%q", got)
	}
	if log, _ := os.ReadFile(filepath.Join(s.dir, "log")); bytes.Count(log, []byte("\n")) > 500 {
		t.Errorf("the server came back and back: %d lines in its log", bytes.Count(log, []byte("\n")))
	}
}

// What a process that died behind the synchronization leaves carries the position of the snapshot's origin.
func TestRestoreFindsOwnWork(t *testing.T) {
	data := sample(t)
	s := startServer(t)
	b := newBackend(t, testConfig(s.addr))
	if err := b.Restore(context.Background(), otherID, snapshotOf(data, 3)); err != nil {
		t.Fatal(err)
	}
	s.do(13, "SET", markerKey, string(appendMarker(nil, testID, raft.Position{Term: 1, Index: 3})))
	b = newBackend(t, testConfig(s.addr))
	snap := snapshotOf(data, 3)
	snap.Again = true
	if err := b.Restore(context.Background(), otherID, snap); err != nil {
		t.Fatal(err)
	}
	holdsSample(t, s, otherID, 3)
}

// Neither direction needs memory for the data.
func TestSnapshotMemory(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	s.do(0, "EVAL", "local v=string.rep('0123456789abcdef',4194304) for i=1,3 do redis.call('SET','k'..i,v) end", "0")
	s.do(0, "CONFIG", "SET", "rdbcompression", "no")
	file, err := os.Create(filepath.Join(t.TempDir(), "snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	buf := make([]byte, 32<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := b.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for {
		n, err := r.Read(buf)
		size += int64(n)
		if _, err := file.Write(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			break
		}
	}
	r.Close()
	snap := &raft.Snapshot{Origin: testID, Data: file, Size: size}
	if err := b.Restore(context.Background(), testID, snap); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes allocated for %d bytes", allocated, size)
	if size < 192<<20 || allocated > 8<<20 { // what it costs does not grow with the data
		t.Errorf("%d bytes allocated for %d bytes", allocated, size)
	}
}

// A connection from elsewhere gets nothing, and one that is not the first waits.
func TestMasterAnswersOnlyTheBackend(t *testing.T) {
	nc, err := net.Dial("tcp", startServer(t).addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	data := []byte("data")
	m, err := listenMaster(&conn{Conn: nc, timeout: 500 * time.Millisecond}, snapshotOf(data, 1), testConfig("").Logger)
	if err != nil {
		t.Fatal(err)
	}
	m.start()
	defer m.close()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	stranger, err := dialer.Dial("tcp", m.l.Addr().String())
	if err != nil {
		t.Skipf("there is no second loopback address: %v", err)
	}
	defer stranger.Close()
	_, _ = stranger.Write([]byte("PING\r\n"))
	_ = stranger.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := stranger.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stranger got %d bytes, %v", n, err)
	}
	if err := <-m.done; err == nil || !strings.Contains(err.Error(), "127.0.0.2") {
		t.Error(err)
	}
}
