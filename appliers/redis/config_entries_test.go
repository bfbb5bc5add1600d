package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

const eventsReply = "*2\r\n$22\r\nnotify-keyspace-events\r\n"

// A setting made by an entry is there on every server that the entries reach: after a restart, after FLUSHALL, and on one
// that was filled from a snapshot.
func TestSettingsSurvive(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("CONFIG", "SET", "notify-keyspace-events", "Kx"), op("SET", "k", "v")))
	mustApply(t, b, entry(2, op("CONFIG", "SET", "notify-keyspace-events", "KE$"), op("FLUSHALL")))
	mustApply(t, b, entry(3, op("SET", "k", "v")))
	want := eventsReply + "$3\r\n$KE\r\n"
	if got := s.do(0, "CONFIG", "GET", "notify-keyspace-events"); got != want {
		t.Errorf("after the entries: %q", got)
	}
	snap := takeSnapshot(t, b)

	s.do(0, "CONFIG", "SET", "notify-keyspace-events", "")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := openBackend(t, testConfig(s.addr))
	if got := s.do(0, "CONFIG", "GET", "notify-keyspace-events"); got != want {
		t.Errorf("after a restart of the node: %q", got)
	}
	if got := again.settings.events; got != "$KE" {
		t.Errorf("the backend is thought to send %q", got)
	}

	other := startServer(t)
	filled := newBackend(t, testConfig(other.addr))
	if err := filled.Restore(context.Background(), testID, snapshotOf(snap, 3)); err != nil {
		t.Fatal(err)
	}
	if got := other.do(0, "CONFIG", "GET", "notify-keyspace-events"); got != want {
		t.Errorf("after a snapshot: %q", got)
	}
}

func TestOtherSettingsAreNotInTheLog(t *testing.T) {
	s := startServer(t)
	for _, args := range [][]string{
		{"CONFIG", "SET", "maxmemory-clients", "1mb"},
		{"CONFIG", "RESETSTAT"},
		{"CONFIG", "SET", "notify-keyspace-events", "", "maxmemory", "x"},
	} {
		b := openBackend(t, testConfig(s.addr))
		var fatal *raft.FatalError
		if err := b.Apply(context.Background(), []raft.Entry{entry(1, op(args...))}); !errors.As(err, &fatal) {
			t.Errorf("%q: %v", args, err)
		}
		_ = b.Close()
	}
}

// What data looks like does not depend on how a backend was configured by hand.
func TestSettingsArePinned(t *testing.T) {
	s := startServer(t)
	s.do(0, "CONFIG", "SET", "stream-node-max-entries", "7", "hash-max-listpack-entries", "3")
	b := openBackend(t, testConfig(s.addr))
	if got := s.do(0, "CONFIG", "GET", "stream-node-max-entries"); !strings.Contains(got, "\r\n100\r\n") {
		t.Errorf("opened: %q", got)
	}
	mustApply(t, b, entry(1, op("CONFIG", "SET", "stream-node-max-entries", "10", "hash-max-listpack-entries", "5")))
	for range 2 {
		if got := s.do(0, "CONFIG", "GET", "*-entries"); !strings.Contains(got, "stream-node-max-entries\r\n$2\r\n10\r\n") ||
			!strings.Contains(got, "hash-max-listpack-entries\r\n$1\r\n5\r\n") {
			t.Errorf("got %q", got)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		s.do(0, "CONFIG", "SET", "stream-node-max-entries", "7")
		b = openBackend(t, testConfig(s.addr))
	}
}

// A backend that was filled from a snapshot trims approximately as the one that the snapshot is of: the layout of the
// stream came with it.
func TestApproximateTrimmingIsTheSame(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("CONFIG", "SET", "stream-node-max-entries", "10")))
	var ops []raft.Command
	for i := range 995 {
		ops = append(ops, op("XADD", "s", fmt.Sprintf("%d-1", i+1), "f", fmt.Sprint(i)))
		if i%7 == 0 {
			ops = append(ops, op("XDEL", "s", fmt.Sprintf("%d-1", i/2+1)))
		}
		if i == 500 {
			ops = append(ops, op("CONFIG", "SET", "stream-node-max-entries", "33"), op("XTRIM", "s", "MAXLEN", "~", "400", "LIMIT", "20"))
		}
	}
	mustApply(t, b, entry(2, ops...))
	snap := takeSnapshot(t, b)
	other := startServer(t)
	filled := newBackend(t, testConfig(other.addr))
	if err := filled.Restore(context.Background(), testID, snapshotOf(snap, 2)); err != nil {
		t.Fatal(err)
	}
	for i, args := range [][]string{
		{"XTRIM", "s", "MAXLEN", "~", "700", "LIMIT", "50"}, {"XADD", "s", "MAXLEN", "~", "555", "2000-1", "a", "b"},
		{"XTRIM", "s", "MINID", "~", "600"}, {"XADD", "s", "2000-2", "a", "b"}, {"XTRIM", "s", "MAXLEN", "~", "100"},
	} {
		before := s.do(0, "XLEN", "s")
		mustApply(t, b, entry(uint64(3+i), op(args...)))
		mustApply(t, filled, entry(uint64(3+i), op(args...)))
		got, want := other.do(0, "XRANGE", "s", "-", "+"), s.do(0, "XRANGE", "s", "-", "+")
		if got != want {
			t.Errorf("%v: %d and %d bytes", args, len(got), len(want))
		}
		if after := s.do(0, "XLEN", "s"); args[0] == "XTRIM" && after == before {
			t.Errorf("%v: nothing was trimmed of %s", args, before)
		}
	}
}

// Keys that are deleted because they are due are told of as expired, and not as deleted.
func TestExpiryEvents(t *testing.T) {
	for events, want := range map[string]string{
		"":     "",
		"KE$":  "",
		"KEg":  "",
		"Kx":   "__keyspace@2__:a expired, ",
		"Ex":   "__keyevent@2__:expired a, ",
		"KEA":  "__keyspace@2__:a expired, __keyevent@2__:expired a, ",
		"KEgx": "__keyspace@2__:a expired, __keyevent@2__:expired a, ",
	} {
		s := startServer(t)
		b := openBackend(t, testConfig(s.addr))
		mustApply(t, b, entry(1, op("CONFIG", "SET", "notify-keyspace-events", events),
			opIn(2, "SET", "a", "v", "PXAT", fmt.Sprint(ShiftMillis+5e12)), opIn(2, "SET", "b", "v", "PXAT", fmt.Sprint(ShiftMillis+7e12))))
		sub, err := b.Subscriber(context.Background(), 2)
		if err != nil {
			t.Fatal(err)
		}
		heard := listen(t, sub, "PSUBSCRIBE", "*")
		expire := raft.Command{Data: AppendOp(nil, ExpireItem(6e12, 2, []string{"a", "b", "gone"}))}
		mustApply(t, b, entry(2, expire, op("PUBLISH", "end", ".")))
		if got := heard("end"); got != want {
			t.Errorf("%q: heard %q, want %q", events, got, want)
		}
		mustApply(t, b, entry(3, op("CONFIG", "SET", "notify-keyspace-events", events), op("FLUSHDB"), op("PUBLISH", "middle", "."), op("PUBLISH", "end", ".")))
		if got := heard("end"); got != "middle ., " {
			t.Errorf("%q: heard %q, which is about what is kept for this node only", events, got)
		}
		// What is deleted otherwise is told of as before.
		mustApply(t, b, entry(4, opIn(2, "DEL", "b"), op("PUBLISH", "end", ".")))
		if got := heard("end"); strings.Contains(got, "del") != strings.ContainsAny(events, "gA") {
			t.Errorf("%q: heard %q for DEL", events, got)
		}
		if got := s.do(2, "EXISTS", "a", "b"); got != ":0\r\n" {
			t.Errorf("%q: %q keys are left", events, got)
		}
		if _, ok := b.Deadline(2, []byte("a")); ok {
			t.Errorf("%q: the deadline is left", events)
		}
	}
}

// listen subscribes and returns a function that returns what was heard before a channel.
func listen(t *testing.T, sub *Subscriber, args ...string) func(end string) string {
	t.Helper()
	if _, err := sub.Write(command(args...)); err != nil {
		t.Fatal(err)
	}
	r := newReplyReader(sub, 4096)
	if _, _, err := r.keep(nil, 1<<20); err != nil {
		t.Fatal(err)
	}
	return func(end string) string {
		t.Helper()
		var heard strings.Builder
		for {
			raw, _, err := r.keep(nil, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			args, err := ParseCommand(raw, nil)
			if err != nil || len(args) != 4 {
				t.Fatalf("%q: %v", raw, err)
			}
			if string(args[2]) == end {
				return heard.String()
			}
			fmt.Fprintf(&heard, "%s %s, ", args[2], args[3])
		}
	}
}
