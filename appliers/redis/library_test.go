package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

// touchLibrary is what this package asks of a library: a function that gives deadlines, and one that tells of them.
const touchLibrary = `#!lua name=nexus_t
local touched = {}
redis.register_function('nexus_t_touch', function(keys, args)
  touched = {}
  redis.call('select', args[1])
  redis.call('set', args[2], 'v', 'pxat', args[3])
  touched = {tonumber(args[1]), args[2]}
  if args[4] then touched = {machine = true} end
end)
redis.register_function{function_name='nexus_t_deadlines', flags={'no-writes'}, callback=function()
  if touched.machine then return {err='ERR nexus: a command failed: OOM'} end
  if not touched[1] then return {} end
  redis.call('select', touched[1])
  return {touched[1], touched[2], redis.call('pexpiretime', touched[2])}
end}`

func stored(deadline int64) string { return fmt.Sprint(ShiftMillis + deadline) }

// A script gives a deadline to a key that it did not declare, in another database.
func TestLibraryDeadlines(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("FUNCTION", "LOAD", "REPLACE", touchLibrary)),
		entry(2, op("FCALL", "nexus_t_touch", "0", "3", "k", stored(5e12)), op("FCALL", "nexus_t_touch", "0", "0", "k2", stored(6e12))))
	if d, ok := b.Deadline(3, []byte("k")); !ok || d != 5e12 {
		t.Errorf("deadline %d %v", d, ok)
	}
	if d, ok := b.Deadline(0, []byte("k2")); !ok || d != 6e12 {
		t.Errorf("deadline %d %v", d, ok)
	}
	if _, ok := b.Deadline(0, []byte("k")); ok {
		t.Error("a deadline in the wrong database")
	}
}

// The replies are lost, and with them the names of the keys.
func TestLibraryDeadlinesLost(t *testing.T) {
	s := startServer(t)
	g := newGate(t, s.addr)
	b := openBackend(t, testConfig(g.addr()))
	mustApply(t, b, entry(1, op("FUNCTION", "LOAD", "REPLACE", touchLibrary)))
	g.set(func() {
		g.onDown = func(p []byte) bool {
			if !bytes.Contains(p, []byte("+QUEUED")) {
				return true
			}
			g.onDown = nil
			return false
		}
	})
	e := entry(2, op("FCALL", "nexus_t_touch", "0", "3", "k", stored(5e12)))
	mustApply(t, b, e, entry(3))
	if !errors.Is(e.Commands[0].Err, raft.ErrReplyLost) {
		t.Fatalf("%q %v", e.Commands[0].Reply, e.Commands[0].Err)
	}
	if d, ok := b.Deadline(3, []byte("k")); !ok || d != 5e12 {
		t.Errorf("deadline %d %v", d, ok)
	}
}

// A logged call finds the library gone, which the log never takes away: somebody else did.
func TestLibraryMissing(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	err := b.Apply(context.Background(), []raft.Entry{entry(1, op("FCALL", "nexus_t_touch", "0", "3", "k", stored(5e12)))})
	var fatal *raft.FatalError
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "Function not found") {
		t.Fatalf("%v", err)
	}
}

// A command of a script failed on this server alone: it must not go on with that.
func TestLibraryMachineError(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("FUNCTION", "LOAD", "REPLACE", touchLibrary)))
	err := b.Apply(context.Background(), []raft.Entry{entry(2, op("FCALL", "nexus_t_touch", "0", "3", "k", stored(5e12), "fail"))})
	var fatal *raft.FatalError
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("%v", err)
	}
	if got := s.do(13, "GET", markerKey); !strings.Contains(got, "spoiled") {
		t.Errorf("the position is still %q", got)
	}
}

// Also a script does not excuse that the position is gone.
func TestScriptTakesPosition(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	var fatal *raft.FatalError
	if err := b.Apply(context.Background(), []raft.Entry{entry(2, op("EVAL", "return redis.call('FLUSHALL')", "0"))}); !errors.As(err, &fatal) {
		t.Errorf("got %v", err)
	}
}

// FLUSHALL leaves the reserved database alone, and with wrong options everything.
func TestFlushAllKeepsReserved(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	s.do(13, "SET", "nexus.other", "x")
	mustApply(t, b, entry(1, op("SET", "k", "v"), opIn(5, "SET", "k", "v")))
	bad := entry(2, op("FLUSHALL", "NOW"), op("PING"))
	mustApply(t, b, bad)
	if got := string(bad.Commands[0].Reply) + string(bad.Commands[1].Reply); got != "-ERR syntax error\r\n+PONG\r\n" {
		t.Errorf("%q", got)
	}
	if got := s.do(5, "GET", "k"); got != "$1\r\nv\r\n" {
		t.Errorf("k is %q", got)
	}
	e := entry(3, opIn(2, "FLUSHALL", "SYNC"), op("SET", "after", "v"))
	mustApply(t, b, e)
	if got := string(e.Commands[0].Reply) + string(e.Commands[1].Reply); got != "+OK\r\n+OK\r\n" {
		t.Errorf("%q", got)
	}
	for db, want := range map[int]string{0: "$5\r\nafter\r\n", 5: "$-1\r\n", 13: "$"} {
		if got := s.do(db, "RANDOMKEY"); !strings.HasPrefix(got, want) {
			t.Errorf("database %d: %q", db, got)
		}
	}
	if got := s.do(13, "GET", "nexus.other"); got != "$1\r\nx\r\n" {
		t.Errorf("the reserved database lost a key: %q", got)
	}
}

// FLUSHALL by hand spares the functions: what is left then is no data, and the backend is filled again by itself.
func TestFlushedButForLibrary(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	load := entry(1, op("FUNCTION", "LOAD", "REPLACE", touchLibrary))
	touch := entry(2, op("FCALL", "nexus_t_touch", "0", "0", "k", stored(5e12)))
	mustApply(t, b, load, touch)
	s.do(0, "FLUSHALL")
	var behind *raft.BehindError
	if err := b.Apply(context.Background(), []raft.Entry{entry(3, op("INCR", "n"))}); !errors.As(err, &behind) {
		t.Fatalf("got %v, want that the entries are asked for again", err)
	}
	mustApply(t, b, load, touch, entry(3, op("INCR", "n")))
	if got := s.do(0, "GET", "n"); got != "$1\r\n1\r\n" {
		t.Errorf("n is %q", got)
	}
	if _, ok := b.Deadline(0, []byte("k")); !ok {
		t.Error("the key of the script is gone")
	}
}

// A library of somebody else is data of somebody else, also beside one of a proxy.
func TestFlushedButForTwoLibraries(t *testing.T) {
	s := startServer(t)
	s.do(0, "FUNCTION", "LOAD", touchLibrary)
	b := newBackend(t, testConfig(s.addr))
	if _, err := b.Open(context.Background(), testID); err != nil {
		t.Fatalf("a backend with nothing but a library of a proxy: %v", err)
	}
	s.do(0, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)")
	s.do(0, "FLUSHALL")
	var fatal *raft.FatalError
	if err := b.Apply(context.Background(), []raft.Entry{entry(1, op("INCR", "n"))}); !errors.As(err, &fatal) {
		t.Errorf("got %v, want a refusal", err)
	}
}
