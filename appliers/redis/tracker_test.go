package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

// heard returns what a tracker hears until the reply to a ping.
func heard(t *testing.T, tracker *Tracker, ping uint64) (changes []Change) {
	t.Helper()
	if err := tracker.Ping(ping); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := tracker.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Pong == ping {
			return changes
		}
		changes = append(changes, c)
	}
}

func namesOf(c Change) string {
	var names []string
	for _, key := range c.Keys {
		names = append(names, string(key))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestTrackerHearsOfTransactions(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	var announced []uint64
	tracker, err := b.Tracker(context.Background(), func(entries []raft.Entry) {
		announced = append(announced, entries[len(entries)-1].Index)
	})
	if err != nil {
		t.Fatal(err)
	}
	first := b.held.Index + 1
	mustApply(t, b, entry(first, op("SET", "a", "1"), op("RENAME", "a", "b")), entry(first+1, opIn(2, "RPUSH", "l", "x")))
	mustApply(t, b, entry(first+2, op("SWAPDB", "0", "1")))
	mustApply(t, b, entry(first+3, op("FLUSHDB")))
	mustApply(t, b, entry(first+4, op("SET", markerKey, "1")))
	got := heard(t, tracker, 1)
	if len(got) != 5 {
		t.Fatalf("heard %d changes: %+v", len(got), got)
	}
	if k := namesOf(got[0]); k != "a b l" || !slices.Equal(got[0].Runs, []uint64{first + 1}) || got[0].All {
		t.Errorf("two entries: %+v, keys %s", got[0], k)
	}
	if !got[1].All || !slices.Equal(got[1].Runs, []uint64{first + 2}) {
		t.Errorf("SWAPDB: %+v", got[1])
	}
	if !got[2].All || len(got[3].Keys) != 0 || !slices.Equal(got[3].Runs, []uint64{first + 3}) {
		t.Errorf("FLUSHDB: %+v %+v", got[2], got[3])
	}
	if c := got[4]; len(c.Keys) != 0 || !slices.ContainsFunc(c.Own, func(k []byte) bool { return string(k) == markerKey }) {
		t.Errorf("the client's key that is called as the position is: %+v", c)
	}
	if want := []uint64{first + 1, first + 2, first + 3, first + 4}; !slices.Equal(announced, want) {
		t.Errorf("announced %v, want %v", announced, want)
	}
	if err := tracker.Close(); err != nil {
		t.Error(err)
	}
	mustApply(t, b, entry(first+5, op("SET", "a", "1")))
	if len(announced) != 4 {
		t.Error("announced to nobody")
	}
}

// What tells of transactions leaves nothing behind in the backend.
func TestTrackerLeavesNoKeys(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	tracker, err := b.Tracker(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tracker.Close()
	mustApply(t, b, entry(b.held.Index+1, op("SET", "a", "1")))
	if got := heard(t, tracker, 7); len(got) != 1 || namesOf(got[0]) != "a" {
		t.Fatalf("heard %+v", got)
	}
	c, release, err := b.dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	defer c.Close()
	raw, err := c.one("KEYS", "raft.*")
	if err != nil {
		t.Fatal(err)
	}
	if n, _, _ := cutHead(raw, '*'); n != 1 {
		t.Errorf("the reserved database has %q", raw)
	}
}

// A tracker ends when the data is replaced, and what is too large to be kept is a change of all.
func TestTrackerEnds(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	tracker, err := b.Tracker(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.subscribers.dropAll()
	if c, err := tracker.Next(); err == nil {
		t.Errorf("heard %+v", c)
	}
	if err := tracker.Close(); err == nil {
		t.Error("closed twice without an error")
	}
	if b.tracking.Load() != nil {
		t.Error("transactions are still announced")
	}
}

func TestParseChange(t *testing.T) {
	for _, raw := range []string{"+OK\r\n", ">2\r\n$10\r\ninvalidate\r\n*1\r\n:1\r\n", "$1\r\nx\r\n", ">2\r\n$4\r\npush\r\n_\r\n"} {
		if c, err := parseChange([]byte(raw)); !errors.Is(err, errChange) {
			t.Errorf("%q: %+v, %v", raw, c, err)
		}
	}
	c, err := parseChange([]byte(">2\r\n$10\r\ninvalidate\r\n*3\r\n$10\r\nraft.run:x\r\n$10\r\nraft.run:7\r\n$9\r\nraft.runs\r\n"))
	if err != nil || namesOf(c) != "raft.run:x raft.runs" || !slices.Equal(c.Runs, []uint64{7}) {
		t.Errorf("%+v, %v", c, err)
	}
}
