package redis

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// play's HELLO answers with ids, which are the server's.
var helloID = regexp.MustCompile(`\$2\r\nid\r\n:\d+\r\n`)

// TestTrackingIsTheServers plays the dialogues of a file with a node and with a redis-server, and compares all bytes.
func TestTrackingIsTheServers(t *testing.T) {
	lines := readDialogue(t, "testdata/tracking.txt")
	want := play(t, startRedis(t), lines)
	got := play(t, startProxy(t).addr, lines)
	for i, line := range lines {
		if g, w := helloID.ReplaceAllString(got[i], ""), helloID.ReplaceAllString(want[i], ""); g != w {
			t.Errorf("%s\n  node  %q\n  redis %q", line.text, g, w)
		}
	}
}

// A client may have another one told in its place.
func TestTrackingRedirected(t *testing.T) {
	dialogue := func(addr string) string {
		var all strings.Builder
		for range 20 {
			dial(t, addr).cmd("PING") // so that the id is not the number of a subscription
		}
		to, c, other := dial(t, addr), dial(t, addr), dial(t, addr)
		id := strings.Trim(to.cmd("CLIENT ID"), ":\r\n")
		note := func(reply string) { fmt.Fprintf(&all, "%q\n", strings.ReplaceAll(reply, ":"+id+"\r\n", ":ID\r\n")) }
		note(to.cmd("SUBSCRIBE __redis__:invalidate"))
		note(c.cmd("CLIENT TRACKING ON REDIRECT " + id + " REDIRECT " + id))
		note(c.cmd("CLIENT TRACKING ON REDIRECT " + id))
		note(c.cmd("CLIENT TRACKINGINFO"))
		note(c.cmd("CLIENT GETREDIR"))
		note(c.cmd("GET k"))
		note(other.cmd("SET k 1"))
		note(to.reply())
		note(c.cmd("GET k"))
		note(other.cmd("FLUSHALL"))
		note(to.reply())
		note(c.cmd("HELLO 3")[:4])
		note(other.cmd("FLUSHALL"))
		note(to.reply())
		note(c.cmd("GET k"))
		note(to.cmd("QUIT"))
		if !to.eof() {
			t.Error("QUIT does not close")
		}
		note(other.cmd("SET k 2"))
		note(c.reply())
		note(c.cmd("CLIENT TRACKINGINFO"))
		flags := regexp.MustCompile(`flags=\S+`)
		note(flags.FindString(c.cmd("CLIENT INFO")))
		note(c.cmd("CLIENT TRACKING ON"))
		note(flags.FindString(c.cmd("CLIENT INFO")))
		note(c.cmd("CLIENT GETREDIR"))
		return all.String()
	}
	want(t, dialogue(startProxy(t).addr), dialogue(startRedis(t)))
}

// Swapped databases: Redis tells nobody. Here nobody keeps what was in the other one.
func TestTrackingSwappedDatabases(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING ON"), replyOK)
	want(t, c.cmd("GET k"), "_\r\n")
	want(t, other.cmd("SWAPDB 0 1"), replyOK)
	want(t, c.reply(), allForgotten)
}

const allForgotten = ">2\r\n$10\r\ninvalidate\r\n_\r\n"

// Keys whose time has come.
func TestTrackingExpiredKeys(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING ON NOLOOP"), replyOK)
	want(t, c.cmd("SET k v PX 10000"), replyOK)
	want(t, c.cmd("GET k"), "$1\r\nv\r\n")
	p.log.skew.Store(11_000)
	want(t, dial(t, p.addr).cmd("SET other v"), replyOK) // the deletion comes with it
	want(t, c.reply(), forgotten("k"))
}

// Scripts of a NOLOOP client: Redis tells a bcast client of what its own scripts have changed.
func TestTrackingOwnScripts(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING ON BCAST NOLOOP"), replyOK)
	want(t, c.do("EVAL", "return redis.call('set', KEYS[1], 'x')", "1", "mine"), replyOK)
	want(t, other.cmd("SET theirs x"), replyOK)
	want(t, c.reply(), forgotten("theirs"))
}

func forgotten(key string) string {
	return fmt.Sprintf(">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\n%s\r\n", len(key), key)
}

// What is changed by two in one transaction of the backend is told to both.
func TestTrackingNamesOfTransactions(t *testing.T) {
	op := func(args ...string) raft.Command {
		return raft.Command{Data: backend.AppendOp(nil, backend.Item{Cmd: appendRequest(nil, args...)})}
	}
	at := func(index uint64, cmds ...raft.Command) raft.Entry {
		return raft.Entry{Position: raft.Position{Term: 1, Index: index}, Commands: cmds}
	}
	for name, test := range map[string]struct {
		entries []raft.Entry
		told    string
	}{
		"alone":                {[]raft.Entry{at(5, op("SET", "k", "1"))}, ""},
		"others elsewhere":     {[]raft.Entry{at(4, op("SET", "a", "1")), at(5, op("SET", "k", "1"), op("MSET", "b", "1", "c", "2"))}, ""},
		"another behind":       {[]raft.Entry{at(5, op("SET", "k", "1")), at(6, op("INCR", "k"))}, "k"},
		"another in its entry": {[]raft.Entry{at(5, op("SET", "k", "1"), op("RENAME", "x", "k"))}, "k"},
		"a script":             {[]raft.Entry{at(5, op("SET", "k", "1")), at(6, op("FCALL", "f", "1", "x"))}, "k"},
		"a flush":              {[]raft.Entry{at(5, op("SET", "k", "1"), op("FLUSHDB"))}, "k"},
		"another's entry":      {[]raft.Entry{at(6, op("SET", "k", "1"))}, "k"},
	} {
		srv := &Server{table: policy.NewTable(), policyContext: policy.Context{Databases: 16, ReservedDB: 13}}
		srv.tracker = newTracker(srv)
		srv.tracker.noloop = 1
		c := newTracked(&session{srv: srv}, trackingOptions{noloop: true})
		c.session.tracked = c
		srv.tracker.applying(test.entries)
		c.session.noteWrites([][]byte{op("SET", "k", "1").Data}, 5)
		last := test.entries[len(test.entries)-1].Index
		names := srv.tracker.runs.take([]uint64{last})
		told := srv.tracker.others(c, invalidation{keys: [][]byte{[]byte("k")}, mine: names})
		if got := string(bytes.Join(told, []byte(" "))); got != test.told {
			t.Errorf("%s: told of %q, want %q", name, got, test.told)
		}
	}
}

// Who has an answer to a write finds that the clients of the node have been told, unless the machine is too busy for that.
func TestTrackingToldBeforeTheWriter(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING ON"), replyOK)
	const rounds = 300
	late := 0
	for range rounds {
		c.send([]byte("GET k\r\n"))
		for c.reply()[0] == '>' {
		}
		want(t, other.cmd("SET k v"), replyOK)
		late += p.server.tracker.counts().keys
	}
	if late > rounds/20 {
		t.Errorf("%d of %d writes were answered before others were told of them", late, rounds)
	}
}

// The table is bounded, and what leaves it has to be forgotten.
func TestTrackingTableIsBounded(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING ON"), replyOK)
	want(t, other.cmd("CONFIG GET tracking-table-max-keys"), "*2\r\n$23\r\ntracking-table-max-keys\r\n$7\r\n1000000\r\n")
	want(t, c.cmd("MGET a b c"), "*3\r\n_\r\n_\r\n_\r\n")
	want(t, other.cmd("CONFIG SET tracking-table-max-keys 1"), replyOK)
	gone := make(map[string]bool)
	for range 2 {
		gone[c.reply()] = true
	}
	if len(gone) != 2 {
		t.Errorf("forgotten: %v", gone)
	}
	info := other.cmd("INFO")
	for _, line := range []string{"tracking_clients:1", "tracking_total_keys:1", "tracking_total_items:1", "tracking_total_prefixes:0"} {
		if !strings.Contains(info, line+"\r\n") {
			t.Errorf("INFO has no %s", line)
		}
	}
	if c.conn.Close() != nil {
		t.Error("close")
	}
}

// A client that does not read is told to forget all in place of more keys than are kept for it.
func TestTrackingPendingIsBounded(t *testing.T) {
	c := newTracked(nil, trackingOptions{})
	key := bytes.Repeat([]byte("k"), 1000)
	for range maxPendingBytes / 1000 {
		c.forget(invalidation{keys: [][]byte{key}})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.all || c.bytes > maxPendingBytes/2 {
		t.Errorf("%d messages wait, all: %v", len(c.pending), c.all)
	}
}
