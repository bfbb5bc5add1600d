package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// A script that a client runs on another connection, as a read, holds entries up but is no failure of the backend.
func TestApplyWaitsForScript(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	s.do(0, "CONFIG", "SET", "busy-reply-threshold", "1")
	busy, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if _, err := busy.Write(command("EVAL", "for i = 1, 5e7 do end return 1", "0")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(40 * time.Second); ; { // until it is busy
		if time.Now().After(deadline) {
			t.Fatal("the script does not run")
		}
		if strings.HasPrefix(s.do(0, "GET", "k"), "-BUSY ") {
			break
		}
	}
	mustApply(t, b)
	mustApply(t, b, entry(2, op("SET", "k", "w")))
	if got := s.do(0, "GET", "k"); got != "$1\r\nw\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestApplyRepliesAreRaw(t *testing.T) {
	s, direct := startServer(t), startServer(t)
	b := openBackend(t, testConfig(s.addr))
	commands := [][]string{
		{"SET", "k", "v"}, {"GET", "k"}, {"GET", "missing"}, {"INCR", "n"}, {"INCR", "k"}, {"RPUSH", "l", "a", "", "b\r\nc"},
		{"LRANGE", "l", "0", "-1"}, {"LRANGE", "none", "0", "-1"}, {"LPOP", "none", "2"}, {"LPUSH", "k", "x"},
		{"EVAL", "return {1,{2,{3,'x',false}},{},redis.error_reply('OOM made up')}", "0"}, {"EVAL", "return redis.error_reply('MISCONF no')", "0"},
		{"EVAL", "return redis.status_reply(string.rep('x',200000))", "0"}, {"ZADD", "z", "1.5", "m"}, {"ZSCORE", "z", "m"},
		{"XADD", "s", "1-1", "f", "v"}, {"XRANGE", "s", "-", "+"},
	}
	commands = append(commands, []string{"SET", "a", "b", "BAD"}, []string{"GETRANGE", "k", "0", "0"})
	var e raft.Entry
	e.Position = raft.Position{Term: 1, Index: 1}
	for _, args := range commands {
		e.Commands = append(e.Commands, op(args...))
	}
	// One op of several items in different databases: the replies stand together.
	e.Commands = append(e.Commands, raft.Command{Wanted: true, Data: AppendOp(nil,
		Item{DB: 3, Cmd: command("INCR", "c")}, Item{DB: 5, Cmd: command("INCR", "c")}, Item{DB: 3, Cmd: command("INCR", "c")})})
	e.Commands = append(e.Commands, raft.Command{Wanted: true, Data: AppendOp(nil)})
	mustApply(t, b, e)
	for i, args := range commands {
		if want := direct.do(0, args...); string(e.Commands[i].Reply) != want {
			t.Errorf("%q: got %.200q, want %.200q", args, e.Commands[i].Reply, want)
		}
	}
	if got := string(e.Commands[len(commands)].Reply); got != ":1\r\n:1\r\n:2\r\n" {
		t.Errorf("items: %q", got)
	}
	if r := e.Commands[len(commands)+1].Reply; r == nil || len(r) != 0 {
		t.Errorf("empty op: %q", r)
	}
	if p, err := b.Position(context.Background()); err != nil || p != e.Position {
		t.Errorf("position %v, %v", p, err)
	}
}

func TestApplySplitsRuns(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.MaxRunItems, cfg.MaxRunBytes = 10, 100_000
	b := openBackend(t, cfg)
	var entries []raft.Entry
	for i := uint64(1); i <= 100; i++ {
		e := entry(i, op("INCR", "n"), op("APPEND", "a", strings.Repeat("x", int(i)*400)), op("LPUSH", "l", fmt.Sprint(i)))
		e.Commands[1].Wanted = false
		entries = append(entries, e)
	}
	entries = append(entries, entry(101), entry(102))
	mustApply(t, b, entries...)
	for i := range entries[:100] {
		if got, want := string(entries[i].Commands[0].Reply), fmt.Sprintf(":%d\r\n", i+1); got != want {
			t.Fatalf("entry %d: %q", i+1, got)
		}
		if entries[i].Commands[1].Reply != nil {
			t.Fatalf("entry %d: a reply nobody wants", i+1)
		}
	}
	if execs := b.Stats().Execs; execs < 25 || execs > 101 {
		t.Errorf("%d transactions", execs)
	}
	if p, _ := b.Position(context.Background()); p.Index != 102 {
		t.Errorf("position %v", p)
	}
	// The same again is noticed, a gap as well.
	again := entry(102, op("INCR", "n"))
	mustApply(t, b, again, entry(103, op("INCR", "n")))
	if !errors.Is(again.Commands[0].Err, raft.ErrReplyLost) {
		t.Errorf("applied before: %v", again.Commands[0].Err)
	}
	var behind *raft.BehindError
	if err := b.Apply(context.Background(), []raft.Entry{entry(110)}); !errors.As(err, &behind) || behind.Position.Index != 103 {
		t.Errorf("gap: %v", err)
	}
}

func TestApplyLargeValues(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	value := make([]byte, 100<<20)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	e := entry(1, op("SET", "big", string(value)), op("GET", "big"), op("SET", "small", "1"), op("STRLEN", "big"))
	mustApply(t, b, e)
	if got, _, err := bulkText(e.Commands[1].Reply); err != nil || !bytes.Equal(got, value) {
		t.Errorf("big value differs: %v", err)
	}
	if string(e.Commands[3].Reply) != ":104857600\r\n" || string(e.Commands[2].Reply) != "+OK\r\n" {
		t.Errorf("%q %q", e.Commands[2].Reply, e.Commands[3].Reply)
	}
	_, done, err := b.Read(context.Background(), 0, command("GET", "big"), 1)
	if done != 0 || err != nil {
		t.Errorf("over budget: %d %v", done, err)
	}
}

func TestApplyReplyTooLarge(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.MaxReplyBytes = 1000
	b := openBackend(t, cfg)
	e := entry(1, op("SET", "k", strings.Repeat("x", 2000)), op("GET", "k"), op("STRLEN", "k"))
	mustApply(t, b, e)
	if !errors.Is(e.Commands[1].Err, raft.ErrReplyLost) || e.Commands[1].Reply != nil {
		t.Errorf("too large: %v %q", e.Commands[1].Err, e.Commands[1].Reply)
	}
	if string(e.Commands[2].Reply) != ":2000\r\n" {
		t.Errorf("behind it: %q", e.Commands[2].Reply)
	}
}

func TestApplyFlushKeepsMarker(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	mustApply(t, b, entry(2, op("FLUSHALL")), entry(3, op("SET", "k", "w")))
	mustApply(t, b, entry(4, op("SET", "j", "w")))
	if p, err := b.Position(context.Background()); err != nil || p.Index != 4 {
		t.Errorf("position %v %v", p, err)
	}
}

// What cannot be applied stops the node and changes nothing.
func TestApplyRefuses(t *testing.T) {
	s := startServer(t)
	tests := map[string]raft.Command{
		"not an op":     {Data: []byte("x")},
		"empty":         {},
		"time":          {Data: AppendOp(nil, Item{Flags: ItemTime, Cmd: command("SET", "k", "v")})},
		"exec":          op("exec"),
		"discard":       op("DISCARD"),
		"metadata":      opIn(13, "SET", "raft.state", "x"),
		"no such db":    opIn(16, "SET", "k", "x"),
		"half a frame":  {Data: AppendOp(nil, Item{Cmd: []byte("*1\r\n$4\r\nPING\r")})},
		"two frames":    {Data: AppendOp(nil, Item{Cmd: []byte("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n")})},
		"inline":        {Data: AppendOp(nil, Item{Cmd: []byte("PING\r\n")})},
		"native expiry": op("EXPIRE", "k", "10"),
	}
	openBackend(t, testConfig(s.addr))
	for name, cmd := range tests {
		t.Run(name, func(t *testing.T) {
			b := openBackend(t, testConfig(s.addr))
			var fatal *raft.FatalError
			err := b.Apply(context.Background(), []raft.Entry{entry(1, op("INCR", "n"), cmd)})
			if !errors.As(err, &fatal) {
				t.Fatalf("got %v", err)
			}
			t.Log(err)
			if err := b.Apply(context.Background(), nil); !errors.As(err, &fatal) {
				t.Errorf("after it: %v", err)
			}
			if got := s.do(0, "GET", "n"); got != "$-1\r\n" {
				t.Errorf("n is %q", got)
			}
		})
	}
}

// A command that the server refuses when it is queued: nothing is applied, the caller may retry.
func TestApplyQueueError(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	err := b.Apply(context.Background(), []raft.Entry{entry(1, op("INCR", "n"), op("NOSUCH", "x"))})
	var fatal *raft.FatalError
	if err == nil || errors.As(err, &fatal) || !strings.Contains(err.Error(), "NOSUCH") {
		t.Fatalf("got %v", err)
	}
	if b.Healthy() == nil {
		t.Error("healthy")
	}
	mustApply(t, b, entry(1, op("INCR", "n")))
	if got := s.do(0, "GET", "n"); got != "$1\r\n1\r\n" {
		t.Errorf("n is %q", got)
	}
	// Memory that runs out is an error of the machine: nothing is applied, and it works again later.
	s.do(0, "CONFIG", "SET", "maxmemory", "1mb")
	e := entry(2, op("SET", "k", "v"))
	if err := b.Apply(context.Background(), []raft.Entry{e}); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("got %v", err)
	}
	s.do(0, "CONFIG", "SET", "maxmemory", "0")
	mustApply(t, b, e)
	if string(e.Commands[0].Reply) != "+OK\r\n" || b.Healthy() != nil {
		t.Errorf("%q %v", e.Commands[0].Reply, b.Healthy())
	}
	if n := b.Stats().Reconnects; n != 0 {
		t.Errorf("%d reconnects", n)
	}
}

// An element of the machine's class that no script made: the state diverged, and the position must not survive.
func TestApplyMachineErrorInside(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	// A command in the log takes the permission away while the transaction runs.
	err := b.Apply(context.Background(), []raft.Entry{entry(2, op("ACL", "SETUSER", "default", "-incr"), op("INCR", "n"))})
	var fatal *raft.FatalError
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "INCR") || !strings.Contains(err.Error(), "NOPERM") {
		t.Fatalf("got %v", err)
	}
	_, err = newBackend(t, testConfig(s.addr)).Open(context.Background(), testID)
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "spoiled") {
		t.Errorf("open again: %v", err)
	}
}

func TestMarkerTampering(t *testing.T) {
	for name, tamper := range map[string][]string{
		"delete": {"DEL", "raft.state"}, "set": {"SET", "raft.state", "x"}, "type": {"LPUSH", "raft.state", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			b := openBackend(t, testConfig(s.addr))
			mustApply(t, b, entry(1, op("SET", "k", "v")))
			if name == "type" {
				s.do(13, "DEL", "raft.state")
			}
			s.do(13, tamper...)
			err := b.Apply(context.Background(), []raft.Entry{entry(2, op("INCR", "n"))})
			var fatal *raft.FatalError
			if !errors.As(err, &fatal) {
				t.Fatalf("got %v", err)
			}
			t.Log(err)
			if got := s.do(0, "GET", "n"); got != "$-1\r\n" {
				t.Errorf("applied all the same: %q", got)
			}
		})
	}
}
