package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// twins are two backends with different hash seeds and histories that get the same entries of one leader.
type twins struct {
	t      *testing.T
	stores [2]*backend.Backend
	direct [2]*client
	seq    *Sequencer
	index  uint64
}

func startTwins(t *testing.T) *twins {
	t.Helper()
	w := &twins{t: t}
	for i := range w.stores {
		cfg := backend.NewConfig()
		cfg.Addr = startRedis(t)
		store, err := backend.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		if _, err := store.Open(context.Background(), raft.Identity{Cluster: 1, Node: uint64(i + 1)}); err != nil {
			t.Fatal(err)
		}
		w.stores[i], w.direct[i] = store, dial(t, cfg.Addr)
	}
	for i := range 500 { // another history for one of them
		w.direct[1].do("SADD", "history", fmt.Sprint(i))
	}
	w.direct[1].do("DEL", "history")
	w.direct[1].do("SRANDMEMBER", "nokey")
	w.seq = NewSequencer(NewConfig(), w.stores[0])
	return w
}

// at has a command executed as of a moment, and returns the reply of the first backend.
func (w *twins) at(stamp int64, args ...string) string {
	w.t.Helper()
	cmd := appendRequest(nil, args...)
	words := make([][]byte, len(args))
	for i, a := range args {
		words[i] = []byte(a)
	}
	item := backend.Item{Cmd: cmd}
	switch w.seq.table.Lookup(words, w.seq.ctx).Policy {
	case policy.WriteTime, policy.Choice:
		item.Flags = backend.ItemTime
	}
	group := []raft.Command{{Data: backend.AppendOp(nil, item)}}
	w.seq.Sequence(stamp, group)
	w.index++
	var reply string
	for i, store := range w.stores {
		command := raft.Command{Data: group[0].Data, Wanted: true}
		entries := []raft.Entry{{Position: raft.Position{Term: 1, Index: w.index}, Stamp: stamp, Commands: []raft.Command{command}}}
		if err := store.Apply(context.Background(), entries); err != nil {
			w.t.Fatal(err)
		}
		if i == 0 {
			reply = string(entries[0].Commands[0].Reply)
		}
	}
	return reply
}

// same compares what the backends answer. Consumers are seen at different times, and sets have no order.
func (w *twins) same(args ...string) {
	w.t.Helper()
	var got [2]string
	for i, c := range w.direct {
		lines := strings.Split(c.do(args...), "\r\n")
		for j := range lines {
			if lines[j] == "seen-time" {
				lines[j+1] = "then"
			}
		}
		if args[0] == "SMEMBERS" {
			slices.Sort(lines)
		}
		got[i] = strings.Join(lines, " ")
	}
	if got[0] != got[1] {
		w.t.Errorf("%q:\n%s\n%s", args, got[0], got[1])
	}
}

func TestChoicesAreTheSame(t *testing.T) {
	w := startTwins(t)
	now := time.Now().UnixMilli()
	add := []string{"SADD", "s"}
	for i := range 3000 {
		add = append(add, fmt.Sprint("m", i*i))
	}
	w.at(now, add...)
	for i := range 20 {
		reply := w.at(now, "SPOP", "s")
		if i > 0 && reply == "" {
			t.Errorf("popped %q", reply)
		}
		w.at(now, "SPOP", "s", "40")
	}
	w.same("SCARD", "s")
	w.same("SMEMBERS", "s")
	w.at(now, "SPOP", "s", "100000")
	w.same("EXISTS", "s")
}

func TestSortsAreTheSame(t *testing.T) {
	w := startTwins(t)
	set, zset, weights := []string{"SADD", "s"}, []string{"ZADD", "z"}, []string{"MSET"}
	for i := range 400 {
		m := fmt.Sprint("m", i)
		set, zset = append(set, m), append(zset, fmt.Sprint(i%5), m)
		weights = append(weights, "w_"+m, fmt.Sprint(i%3), "o_"+m, "object"+m)
	}
	for _, args := range [][]string{set, zset, weights} {
		w.at(1, args...)
	}
	for _, src := range []string{"s", "z"} {
		for _, tail := range []string{"", " LIMIT 5 20", " DESC GET # GET o_*", " LIMIT 0 7 DESC"} {
			for _, by := range []string{" BY w_* ALPHA", " BY w_*", " BY nosort", " ALPHA"} {
				line := "SORT " + src + by + tail + " STORE d"
				w.at(1, strings.Fields(line)...)
				w.same("LRANGE", "d", "0", "-1")
			}
		}
	}
	w.same("DBSIZE")
}

// The backends' clocks may be ahead of the leader's or behind it.
func TestDeliveriesAreTheSame(t *testing.T) {
	for _, skew := range []int64{0, -50_000, 50_000} {
		t.Run(fmt.Sprint(skew), func(t *testing.T) {
			w := startTwins(t)
			now := time.Now().UnixMilli() + skew
			id := func(i int64) string { return fmt.Sprintf("%d-0", now+i) }
			same := func() {
				t.Helper()
				w.same("XINFO", "STREAM", "st", "FULL", "COUNT", "0")
				w.same("XPENDING", "st", "g")
			}
			w.at(now, "XGROUP", "CREATE", "st", "g", "0", "MKSTREAM")
			for i := range 30 {
				id := w.at(now+int64(i), "XADD", "st", "MAXLEN", "~", "1000", "*", "f", fmt.Sprint(i))
				if want := fmt.Sprintf("%d-0", now+int64(i)); !strings.Contains(id, want) {
					t.Errorf("id %q, want %s", id, want)
				}
			}
			want(t, w.at(now-1000, "XADD", "st", "*", "f", "v"), fmt.Sprintf("$15\r\n%d-1\r\n", now+29))
			w.at(now+100, "XREADGROUP", "GROUP", "g", "c1", "COUNT", "10", "STREAMS", "st", ">")
			same()
			if full := w.direct[0].do("XINFO", "STREAM", "st", "FULL"); !strings.Contains(full, fmt.Sprint("\r\n:", now+100-policy.Shift)) {
				t.Error("the deliveries do not bear the leader's time")
			}
			w.at(now+200, "XREADGROUP", "GROUP", "g", "c2", "COUNT", "10", "STREAMS", "st", ">")
			w.at(now+250, "XREADGROUP", "GROUP", "g", "c3", "NOACK", "COUNT", "3", "STREAMS", "st", ">")
			w.at(now+300, "XREADGROUP", "GROUP", "g", "c1", "COUNT", "3", "STREAMS", "st", "0")
			same()
			w.at(now+300, "XDEL", "st", fmt.Sprintf("%d-0", now+1))
			// 200 ms after the delivery to c1 of what was not read again, and 100 ms after that of the rest.
			reply := w.at(now+400, "XCLAIM", "st", "g", "c4", "150", id(0), id(1), id(5), id(15), "JUSTID")
			want(t, reply, fmt.Sprintf("*2\r\n$15\r\n%s\r\n$15\r\n%s\r\n", id(5), id(15)))
			same()
			want(t, w.at(now+400, "XCLAIM", "st", "g", "c4", "301", id(6), "JUSTID"), "*0\r\n")
			want(t, w.at(now+400, "XCLAIM", "st", "g", "c4", "300", id(6), "JUSTID"), fmt.Sprintf("*1\r\n$15\r\n%s\r\n", id(6)))
			reply = w.at(now+401, "XAUTOCLAIM", "st", "g", "c5", "301", "-", "COUNT", "2", "JUSTID")
			// c1 has read the first three again, and 1 is gone.
			want(t, reply, fmt.Sprintf("*3\r\n$15\r\n%s\r\n*2\r\n$15\r\n%s\r\n$15\r\n%s\r\n*0\r\n", id(5), id(3), id(4)))
			same()
			w.at(now+500, "XAUTOCLAIM", "st", "g", "c6", "0", "-", "COUNT", "100")
			same()
			w.at(now+600, "XCLAIM", "st", "g", "c7", "0", id(3), "IDLE", "1000", "RETRYCOUNT", "9", "FORCE")
			w.at(now+600, "XCLAIM", "st", "g", "c7", "0", id(4), "TIME", fmt.Sprint(now+99999))
			same()
		})
	}
}
