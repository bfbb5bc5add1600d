package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

var otherID = raft.Identity{Cluster: testID.Cluster, Node: 0x0b}

// sample is a snapshot at index 3 of a backend that holds something of everything.
func sample(t testing.TB) []byte {
	t.Helper()
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b,
		entry(1,
			op("SET", "s", "old"), op("SET", "bin\x00\r\n\xff", "\x00\x01\r\n"),
			op("RPUSH", "l", "a", "b", "c"), op("SADD", "set", "x", "y"), op("SADD", "ints", "1", "2"),
			op("ZADD", "z", "1.5", "one", "inf", "max"), op("HSET", "h", "f", "v", "g", "w"),
			op("XADD", "st", "1-1", "f", "v"), op("XADD", "st", "2-1", "f", "v"), op("XGROUP", "CREATE", "st", "g", "0"),
			op("PFADD", "pf", "a", "b"), op("SETBIT", "bits", "1000", "1"), op("GEOADD", "geo", "13.4", "52.5", "Berlin")),
		entry(2,
			op("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "st", ">"),
			op("SET", "ttl", "v", "PXAT", fmt.Sprint(ShiftMillis+5e12)), opIn(3, "SET", "three", "3", "PXAT", fmt.Sprint(ShiftMillis+6e12)),
			opIn(15, "SET", "fifteen", "15"), op("RPUSH", "long", strings.Repeat("e", 100_000)),
			op("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 42 end)")),
		entry(3, op("SET", "s", "new")))
	return takeSnapshot(t, b)
}

// holdsSample checks that nothing but the sample is in the server, at position index of id.
func holdsSample(t testing.TB, s *server, id raft.Identity, index uint64) {
	t.Helper()
	for _, c := range []struct {
		db   int
		args string
		want string
	}{
		{0, "GET s", "$3\r\nnew\r\n"},
		{0, "GET bin\x00\r\n\xff", "$4\r\n\x00\x01\r\n\r\n"},
		{0, "LRANGE l 0 -1", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
		{0, "SCARD set", ":2\r\n"},
		{0, "SISMEMBER ints 2", ":1\r\n"},
		{0, "ZSCORE z max", "$3\r\ninf\r\n"},
		{0, "HGET h g", "$1\r\nw\r\n"},
		{0, "XLEN st", ":2\r\n"},
		{0, "XPENDING st g", "*4\r\n:1\r\n$3\r\n1-1\r\n$3\r\n1-1\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n"},
		{0, "PFCOUNT pf", ":2\r\n"},
		{0, "GETBIT bits 1000", ":1\r\n"},
		{0, "ZCARD geo", ":1\r\n"},
		{0, "PEXPIRETIME ttl", fmt.Sprintf(":%d\r\n", ShiftMillis+5e12)},
		{0, "LLEN long", ":1\r\n"},
		{0, "DBSIZE", ":13\r\n"},
		{3, "PEXPIRETIME three", fmt.Sprintf(":%d\r\n", ShiftMillis+6e12)},
		{7, "DBSIZE", ":0\r\n"},
		{15, "GET fifteen", "$2\r\n15\r\n"},
		{0, "FCALL f 0", ":42\r\n"},
	} {
		if got := s.do(c.db, strings.Split(c.args, " ")...); got != c.want {
			t.Errorf("db %d: %q: %q, want %q", c.db, c.args, got, c.want)
		}
	}
	if got, want := s.do(13, "GET", markerKey), string(appendMarker(nil, id, raft.Position{Term: 1, Index: index})); !strings.Contains(got, want) {
		t.Errorf("position %q, want %q", got, want)
	}
	if got := s.do(0, "FUNCTION", "LIST"); strings.Contains(got, "former") {
		t.Errorf("a function of the former data: %q", got)
	}
	isItself(t, s)
}

// isItself checks that the server is a master with the settings that it was started with.
func isItself(t testing.TB, s *server) {
	t.Helper()
	info := s.do(0, "INFO")
	for _, want := range []string{"role:master", "\nloading:0", "connected_slaves:0"} {
		if !strings.Contains(info, want) {
			t.Errorf("INFO lacks %q", want)
		}
	}
	for name, want := range map[string]string{"repl-diskless-load": "disabled", "repl-diskless-sync": "yes", "repl-diskless-sync-delay": "5"} {
		if got := s.do(0, "CONFIG", "GET", name); !strings.Contains(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(s.dir, "*.rdb")); len(found) > 0 {
		t.Errorf("left behind: %q", found)
	}
}

func fillFormer(t testing.TB, b *Backend) {
	t.Helper()
	mustApply(t, b, entry(1, op("SET", "s", "former"), op("SET", "gone", "x", "PXAT", fmt.Sprint(ShiftMillis+1e12)), opIn(7, "SET", "gone", "y"),
		op("FUNCTION", "LOAD", "#!lua name=former\nredis.register_function('f', function() return 1 end)")))
}

func TestRestore(t *testing.T) {
	data := sample(t)
	for _, args := range [][]string{nil, {"--masterauth", "secret", "--masteruser", "u"}, {"--requirepass", "pw"}, {"--appendonly", "yes"}, {"--replica-serve-stale-data", "no"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			s := startServer(t, args...)
			cfg := testConfig(s.addr)
			if len(args) > 0 && args[0] == "--requirepass" {
				cfg.Password = "pw"
			}
			b := newBackend(t, cfg)
			if _, err := b.Open(context.Background(), otherID); err != nil {
				t.Fatal(err)
			}
			fillFormer(t, b)
			d := b.Deadlines
			b.Pend(0, "pending", 7e12)
			if err := b.Restore(context.Background(), otherID, snapshotOf(data, 3)); err != nil {
				t.Fatal(err)
			}
			if _, ok := d.Deadline(0, []byte("gone")); ok || d.size.Load() != 3 {
				t.Errorf("deadlines of the former data are left, %d in all", d.size.Load())
			}
			for _, k := range []DueKey{{0, "ttl", 5e12}, {3, "three", 6e12}, {0, "pending", 7e12}} {
				if got, ok := d.Deadline(k.DB, []byte(k.Key)); !ok || got != k.Deadline {
					t.Errorf("deadline of %s: %d %v", k.Key, got, ok)
				}
			}
			if err := b.Healthy(); err != nil {
				t.Error(err)
			}
			mustApply(t, b, entry(4, op("INCR", "n")))
			if cfg.Password != "" {
				return
			}
			s.do(0, "DEL", "n")
			holdsSample(t, s, otherID, 4)
			mustApply(t, b, entry(5, op("INCR", "n")))
			if pos, err := b.Position(context.Background()); err != nil || pos.Index != 5 {
				t.Errorf("%v %v", pos, err)
			}
		})
	}
}

// A backend that restarts after Restore must never be taken for another node's.
func TestServerDiesAfterRestore(t *testing.T) {
	data := sample(t)
	for _, args := range [][]string{{"--save", ""}, {"--save", "1 1"}, {"--appendonly", "yes"}} {
		s := startServer(t, args...)
		b := newBackend(t, testConfig(s.addr))
		if err := b.Restore(context.Background(), otherID, snapshotOf(data, 3)); err != nil {
			t.Fatal(err)
		}
		if got := s.do(0, "CONFIG", "GET", "save"); args[0] == "--save" && !strings.Contains(got, args[1]) {
			t.Errorf("%q: %q", args, got)
		}
		mustApply(t, b, entry(4))
		s.restart()
		var behind *raft.BehindError
		err := b.Apply(context.Background(), []raft.Entry{entry(5)})
		if err != nil && !errors.As(err, &behind) {
			t.Fatalf("%q: %v", args, err)
		}
		t.Logf("%q: %v", args, err)
		again := newBackend(t, testConfig(s.addr))
		if _, err := again.Open(context.Background(), otherID); err != nil {
			t.Fatal(err)
		}
	}
}

// Where earlier data is restored than was applied, deadlines of what will be applied again stay known.
func TestRestoreOlder(t *testing.T) {
	data := sample(t)
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	for i := uint64(1); i <= 5; i++ {
		mustApply(t, b, entry(i, op("SET", fmt.Sprint("k", i), "v", "PXAT", fmt.Sprint(ShiftMillis+8e12))))
	}
	if err := b.Restore(context.Background(), testID, snapshotOf(data, 3)); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Deadline(0, []byte("k5")); !ok {
		t.Error("the deadline of an entry that comes again is forgotten")
	}
	if _, err := b.Query(context.Background(), 0, "GET", "s"); err != nil {
		t.Error(err)
	}
	mustApply(t, b, entry(4), entry(5))
	holdsSample(t, s, testID, 5)
}

// While Restore runs, and if it fails, no read sees anything but the former data or, in the end, the new.
func TestReadsDuringRestore(t *testing.T) {
	data := sample(t)
	s := startServer(t)
	b := newBackend(t, testConfig(s.addr))
	if _, err := b.Open(context.Background(), otherID); err != nil {
		t.Fatal(err)
	}
	fillFormer(t, b)
	var began, ended atomic.Bool
	stop, failed := make(chan struct{}), make(chan error, 3)
	read := func(get func() (string, error)) {
		counts := make(map[string]int)
		for {
			select {
			case <-stop:
				t.Log(counts)
				failed <- nil
				return
			default:
			}
			late, early := ended.Load(), !began.Load()
			got, err := get()
			if err != nil {
				got = "error"
			}
			counts[got]++
			switch {
			case got == "error" && !early && !late, got == "$6\r\nformer\r\n" && !late, got == "$3\r\nnew\r\n" && began.Load():
			case got == "error" && began.Load() && !late:
			default:
				failed <- fmt.Errorf("%q %w (early %v, late %v)", got, err, early, late)
				return
			}
		}
	}
	go read(func() (string, error) {
		raw, err := b.Query(context.Background(), 0, "GET", "s")
		return string(raw), err
	})
	for range 2 {
		go read(func() (string, error) {
			var out bytes.Buffer
			err := b.Stream(context.Background(), 0, command("GET", "s"), &out)
			return out.String(), err
		})
	}
	time.Sleep(50 * time.Millisecond)
	began.Store(true)
	for i := range 5 {
		snap := snapshotOf(data, 3)
		snap.Again = i > 0
		if i == 4 {
			if err := b.Restore(context.Background(), otherID, snap); err != nil {
				t.Fatal(err)
			}
			break
		}
		snap.Data = &failingReader{Reader: bytes.NewReader(data), after: int64(len(data) + i*len(data)/4)}
		if err := b.Restore(context.Background(), otherID, snap); err == nil {
			t.Fatal("no error")
		}
	}
	ended.Store(true)
	time.Sleep(50 * time.Millisecond)
	close(stop)
	for range 3 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	holdsSample(t, s, otherID, 3)
}

var errDisk = errors.New("disk")

// failingReader fails after that many bytes, all of Read together.
type failingReader struct {
	*bytes.Reader
	after int64
}

func (r *failingReader) Read(p []byte) (int, error) {
	if r.after <= 0 {
		return 0, errDisk
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.after)])
	r.after -= int64(n)
	return n, err
}

// The snapshot turns bad between the check and the sending: the server must not get the end of it, and lives on.
func TestRestoreReadsOtherBytesLater(t *testing.T) {
	data := sample(t)
	s := startServer(t)
	b := newBackend(t, testConfig(s.addr))
	snap := snapshotOf(data, 3)
	snap.Data = &turningReader{Reader: bytes.NewReader(data)}
	if err := b.Restore(context.Background(), otherID, snap); !errors.Is(err, errRDB) {
		t.Fatal(err)
	}
	isItself(t, s)
	snap = snapshotOf(data, 3)
	snap.Again = true
	if err := b.Restore(context.Background(), otherID, snap); err != nil {
		t.Fatal(err)
	}
	if log, _ := os.ReadFile(filepath.Join(s.dir, "log")); bytes.Count(log, []byte("\n")) > 400 {
		t.Errorf("the server came back and back: %d lines in its log", bytes.Count(log, []byte("\n")))
	}
}

// turningReader gives other bytes the second time, near the end.
type turningReader struct {
	*bytes.Reader
	seeks int
}

func (r *turningReader) Seek(offset int64, whence int) (int64, error) {
	r.seeks++
	return r.Reader.Seek(offset, whence)
}

func (r *turningReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.seeks > 1 && n > 20 && r.Len() == 0 {
		p[n-9] ^= 1
	}
	return n, err
}
