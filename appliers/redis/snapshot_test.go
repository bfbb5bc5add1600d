package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// takeSnapshot reads a whole snapshot of b.
func takeSnapshot(t testing.TB, b *Backend) []byte {
	t.Helper()
	r, err := b.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	waitChild(t, b)
	return data
}

// waitChild waits until the server of b has noticed that its child is gone.
func waitChild(t testing.TB, b *Backend) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		info, err := b.Query(context.Background(), 0, "INFO", "persistence")
		if err == nil && bytes.Contains(info, []byte("rdb_bgsave_in_progress:0")) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the child lives on: %v", err)
		}
	}
}

// snapshotOf wraps what a Backend opened by openBackend has written.
func snapshotOf(data []byte, index uint64) *raft.Snapshot {
	return &raft.Snapshot{
		Position: raft.Position{Term: 1, Index: index}, Origin: testID,
		Data: bytes.NewReader(data), Size: int64(len(data)),
	}
}

func TestRDBSum(t *testing.T) {
	// The check value of Redis's own crc64 test.
	if got := ^sumOf([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%016x", got)
	}
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("SET", "k", strings.Repeat("v", 300))))
	data := takeSnapshot(t, b)
	for step := 1; step < 40; step++ {
		sum := newRDBSum()
		for at := 0; at < len(data); at += step {
			sum.write(data[at:min(at+step, len(data))])
		}
		if summed, err := sum.verify(); !summed || err != nil || sum.size != int64(len(data)) {
			t.Fatalf("step %d: %v %v", step, summed, err)
		}
	}
}

func sumOf(p []byte) uint64 {
	s := newRDBSum()
	s.write(p)
	s.write(make([]byte, rdbEnd)) // pushes what is held back into the sum
	return s.crc
}

// Snapshot says what the state was when it returned, however much is applied while it is read.
func TestSnapshotPositionIsExact(t *testing.T) {
	from, to := startServer(t), startServer(t)
	b, target := openBackend(t, testConfig(from.addr)), newBackend(t, testConfig(to.addr))
	from.do(0, "EVAL", "for i=0,99999 do redis.call('SET','pad:'..i,i) end", "0")
	targetID := raft.Identity{Cluster: testID.Cluster, Node: 0x0b}
	index := uint64(0)
	apply := func() {
		index++
		mustApply(t, b, entry(index, op("INCR", "a"), op("INCR", "b"), opIn(7, "INCR", "c"), op("SET", fmt.Sprint("pad:", index*7919%100000), "x")))
	}
	for round := range 10 {
		for range 20 {
			apply()
		}
		want := index
		r, err := b.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		type result struct {
			data []byte
			err  error
		}
		done := make(chan result)
		go func() {
			data, err := io.ReadAll(r)
			done <- result{data, err}
		}()
		var res result
		for res.data == nil {
			apply()
			select {
			case res = <-done:
			default:
			}
		}
		r.Close()
		waitChild(t, b)
		if res.err != nil {
			t.Fatal(res.err)
		}
		snap := snapshotOf(res.data, want)
		if err := target.Restore(context.Background(), targetID, snap); err != nil {
			t.Fatalf("round %d, %d entries later: %v", round, index-want, err)
		}
		n := fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(want)), want)
		if a, bb, c := to.do(0, "GET", "a"), to.do(0, "GET", "b"), to.do(7, "GET", "c"); a != n || bb != n || c != n {
			t.Fatalf("round %d: %q %q %q, want %q", round, a, bb, c, n)
		}
	}
}

// While another child runs there is no snapshot, and nobody waits for one.
func TestSnapshotWhileChildRuns(t *testing.T) {
	s := startServer(t, "--rdb-key-save-delay", "1500")
	b := openBackend(t, testConfig(s.addr))
	s.do(0, "EVAL", "for i=0,2999 do redis.call('SET','k'..i,i) end", "0")
	mustApply(t, b, entry(1, op("SET", "a", "1")))
	s.do(0, "BGSAVE")
	if _, err := b.Snapshot(context.Background()); !errors.Is(err, raft.ErrBusy) { // who waits gets one in the end
		t.Fatal(err)
	}
	mustApply(t, b, entry(2))
	s.do(0, "CONFIG", "SET", "rdb-key-save-delay", "0")
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r, err := b.Snapshot(context.Background()); err == nil {
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Error(err)
			}
			r.Close()
			waitChild(t, b)
			return
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// A stream that ends early says so, and the server lives on without the child.
func TestSnapshotBreaksOff(t *testing.T) {
	s := startServer(t, "--rdb-key-save-delay", "200")
	b := openBackend(t, testConfig(s.addr))
	s.do(0, "EVAL", "for i=0,9999 do redis.call('SET','k'..i,string.rep('v',1000)) end", "0")
	mustApply(t, b, entry(1, op("SET", "a", "1")))
	start := func(ctx context.Context) io.ReadCloser {
		t.Helper()
		r, err := b.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		return r
	}
	start(context.Background()).Close()
	waitChild(t, b)
	mustApply(t, b, entry(2))

	ctx, cancel := context.WithCancel(context.Background())
	r := start(ctx)
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	waitChild(t, b)

	r = start(context.Background())
	s.kill()
	if _, err := io.Copy(io.Discard, r); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("server killed: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read again: %v", err)
	}
}

// The state is fixed when Snapshot returns: writes that follow cost the server neither memory nor the connection.
func TestSnapshotIsReadSlowly(t *testing.T) {
	s := startServer(t, "--client-output-buffer-limit", "replica 1mb 1mb 1")
	b := openBackend(t, testConfig(s.addr))
	s.do(0, "EVAL", "for i=0,19999 do redis.call('SET','k'..i,string.rep(i,200)) end", "0")
	mustApply(t, b, entry(1, op("SET", "a", "1")))
	r, err := b.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	value := strings.Repeat("x", 1<<20)
	for i := uint64(2); i < 32; i++ {
		mustApply(t, b, entry(i, op("SET", "big", value)))
	}
	time.Sleep(1500 * time.Millisecond)
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if list := s.do(0, "CONFIG", "GET", "repl-diskless-sync-delay"); !strings.Contains(list, "\r\n5\r\n") {
		t.Errorf("settings: %q", list)
	}
	waitChild(t, b)
	t.Logf("%d bytes", len(data))
	for end := time.Now().Add(40 * time.Second); !strings.Contains(s.do(0, "INFO", "replication"), "repl_backlog_active:0"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server keeps a backlog, which slows it down")
		}
	}
}

// A server that writes to its disk first, because it cannot be told otherwise, sends a length instead of a mark.
func TestSnapshotOverDisk(t *testing.T) {
	s := startServer(t)
	s.do(0, "ACL", "SETUSER", "nexus", "on", ">secret", "+@all", "~*", "&*", "-config|set")
	cfg := testConfig(s.addr)
	cfg.Username, cfg.Password = "nexus", "secret"
	b := openBackend(t, cfg)
	mustApply(t, b, entry(1, op("SET", "a", "1")))
	data := takeSnapshot(t, b)
	if _, err := os.Stat(s.dir + "/dump.rdb"); err != nil {
		t.Errorf("not by way of the disk: %v", err)
	}
	to := startServer(t)
	if err := newBackend(t, testConfig(to.addr)).Restore(context.Background(), testID, snapshotOf(data, 1)); err != nil {
		t.Fatal(err)
	}
	if got := to.do(0, "GET", "a"); got != "$1\r\n1\r\n" {
		t.Errorf("%q", got)
	}
}

func TestSnapshotOfEmptyBackend(t *testing.T) {
	s, to := startServer(t, "--rdbchecksum", "no"), startServer(t)
	b := openBackend(t, testConfig(s.addr))
	data := takeSnapshot(t, b)
	snap := snapshotOf(data, 0)
	snap.Term = 0
	target := newBackend(t, testConfig(to.addr))
	if err := target.Restore(context.Background(), testID, snap); err != nil {
		t.Fatal(err)
	}
	mustApply(t, target, entry(1, op("SET", "a", "1")))
}

// The server is another process, or somebody else wrote: that is not the state as of the last entry.
func TestSnapshotOfWrongState(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("SET", "a", "1")))
	s.restart()
	for range 2 {
		if _, err := b.Snapshot(context.Background()); err == nil {
			t.Fatal("snapshot of a backend that lost its data")
		}
	}
	var behind *raft.BehindError
	if err := b.Apply(context.Background(), nil); !errors.As(err, &behind) {
		t.Fatal(err)
	}
	mustApply(t, b, entry(1, op("SET", "a", "1")))
	takeSnapshot(t, b)
}

// Somebody else empties the server after it was looked at, and before it forks.
func TestSnapshotOfWhatWasEmptiedMeanwhile(t *testing.T) {
	s := startServer(t)
	g := newGate(t, s.addr)
	emptied := false
	g.onUp = func(p []byte) bool {
		if !emptied && bytes.Contains(p, []byte("PSYNC")) {
			emptied = true
			s.do(0, "FLUSHALL")
		}
		return true
	}
	b := openBackend(t, testConfig(g.addr()))
	mustApply(t, b, entry(1, op("SET", "a", "1")))
	if r, err := b.Snapshot(context.Background()); err == nil {
		r.Close()
		t.Error("a snapshot without its position")
	}
	if !emptied {
		t.Error("no RDB was asked for")
	}
}
