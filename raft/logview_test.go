package raft

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// guardedCounts is a Sequencer that lets "key+ if nothing after <index>" through as it is, or makes it "no=no" if the log
// has a count of the key after that index. It looks at the log only, so it works on any leader.
type guardedCounts struct {
	view    LogView
	refused atomic.Int64
}

func (g *guardedCounts) ReadLog(view LogView) { g.view = view }

func (g *guardedCounts) Sequence(_ int64, cmds []Command) ([]Command, bool) {
	for i := range cmds {
		key, after, ok := guardOf(cmds[i].Data)
		if ok && (g.counted(key, after) || countsAny(key, cmds[:i])) {
			g.refused.Add(1)
			cmds[i].Data = []byte("no=no")
		}
	}
	return nil, false
}

func guardOf(data []byte) (key string, after uint64, ok bool) {
	key, number, ok := strings.Cut(string(data), "?")
	_, err := fmt.Sscan(number, &after)
	return key, after, ok && err == nil
}

func (g *guardedCounts) counted(key string, after uint64) bool {
	entries, ok := g.view.After(after)
	if !ok {
		return true
	}
	for _, e := range entries {
		if countsAny(key, e.Commands) {
			return true
		}
	}
	return false
}

func countsAny(key string, cmds []Command) bool {
	for _, c := range cmds {
		if strings.HasPrefix(string(c.Data), key+"?") {
			return true
		}
	}
	return false
}

// guardedStore executes what guardedCounts let through.
type guardedStore struct{ *mapStore }

func (s guardedStore) Apply(ctx context.Context, entries []Entry) error {
	for i := range entries {
		for j := range entries[i].Commands {
			c := &entries[i].Commands[j]
			if key, _, ok := guardOf(c.Data); ok {
				c.Data = []byte(key + "+")
			}
		}
	}
	return s.mapStore.Apply(ctx, entries)
}

func (s *mapStore) count(key string) (n, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, _ = strconv.ParseUint(s.data[key], 10, 64)
	return n, s.position.Index
}

// Counters that all nodes raise by "this is the value I saw, at this index": each value is given out once, although many
// proposals are on their way at once, some of them in entries that are not on disk yet, and the leader changes.
func TestLogViewGuardsCounts(t *testing.T) {
	var all []*guardedCounts
	var mu sync.Mutex
	c := newTestCluster(t, 3, func(cfg *Config) {
		g := &guardedCounts{}
		mu.Lock()
		all = append(all, g)
		mu.Unlock()
		cfg.Sequencer = g
		cfg.Store = guardedStore{cfg.Store.(*mapStore)}
		cfg.MaxBatchCommands = 3
	})
	term := c.nodes[c.leader()].Status().Term
	const clients, wins = 40, 10
	var won, unknown atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			node, store := c.nodes[n%3], c.stores[n%3]
			for got := 0; got < wins && ctx.Err() == nil; {
				if err := node.Read(ctx, func(context.Context) error { return nil }); err != nil {
					continue
				}
				was, index := store.count("k")
				out, err := node.Propose(ctx, [][]byte{fmt.Appendf(nil, "k?%d", index)})
				switch {
				case err != nil:
					unknown.Add(1)
				case string(out.Replies[0].Data) == "no":
				case string(out.Replies[0].Data) != fmt.Sprint(was+1):
					t.Errorf("saw %d at index %d, and counted to %s", was, index, out.Replies[0].Data)
					return
				default:
					got++
					if won.Add(1) == clients*wins/4 {
						leader := c.nodes[c.leader()]
						leader.mail.call(leader.handOver)
					}
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Fatal("not done in time")
	}
	c.converged()
	total, _ := c.stores[0].count("k")
	var refused int64
	for _, g := range all {
		refused += g.refused.Load()
	}
	t.Logf("%d counted, %d with an outcome that is not known, %d refused", won.Load(), unknown.Load(), refused)
	if n := int64(total); n < won.Load() || n > won.Load()+unknown.Load() {
		t.Errorf("the counter is %d after %d counts", n, won.Load())
	}
	if c.nodes[c.leader()].Status().Term == term {
		t.Error("the leader did not change")
	}
	if refused == 0 {
		t.Error("nothing was refused, so nothing was tested")
	}
}

func TestLogViewEnds(t *testing.T) {
	g := &guardedCounts{}
	c := newTestCluster(t, 1, func(cfg *Config) { cfg.Sequencer = g })
	c.leader()
	c.propose(0, "a=1")
	r := c.nodes[0]
	check := func(after uint64, want bool) {
		t.Helper()
		got := make(chan bool, 1)
		r.mail.call(func() {
			_, ok := g.view.After(after)
			got <- ok
		})
		if ok := <-got; ok != want {
			t.Errorf("after %d: %v, want %v", after, ok, want)
		}
	}
	applied := r.Status().Applied
	check(0, true)
	check(applied, true)
	check(applied+1, false)
	c.nodes[0].mail.call(func() {
		if err := r.disk.memory.Compact(applied); err != nil {
			t.Error(err)
		}
	})
	check(applied-1, false)
	check(applied, true)
}

// Readers are told that a position is applied at which the first pieces of an entry stand. What is asked from there on
// must name that entry, as nothing of it was applied.
func TestLogViewBeginsAmongPieces(t *testing.T) {
	groups := []group{{origin: 1, id: 2, cmds: []Command{{Data: []byte("k?0 and so many bytes that they make some pieces")}}}}
	pieces := piecesOf(5, groups, 20, 2, 2)
	last := pieces[len(pieces)-1].Index
	for unsaved := range pieces {
		saved := append([]raftpb.Entry{{Term: 2, Index: 1}}, pieces[:len(pieces)-unsaved]...)
		r := &Replicator{disk: &diskLog{memory: etcdraft.NewMemoryStorage()}, log: slog.New(slog.DiscardHandler)}
		r.term.Store(2)
		if err := r.disk.memory.Append(saved); err != nil {
			t.Fatal(err)
		}
		v := &logView{r: r}
		for i := range pieces[len(pieces)-unsaved:] {
			v.note(pieces[len(pieces)-unsaved+i].Data)
		}
		for index := range uint64(len(saved) + 1) {
			entries, ok := v.After(index)
			switch {
			case !ok:
				t.Errorf("%d pieces not saved, after %d: nothing is known", unsaved, index)
			case index == last && len(entries) > 0:
				t.Errorf("after %d: %+v", index, entries)
			case index < last && (len(entries) == 0 || !countsAny("k", entries[len(entries)-1].Commands) || entries[len(entries)-1].Index != last):
				t.Errorf("%d pieces not saved, after %d: %+v, want the entry at %d", unsaved, index, entries, last)
			}
		}
		if unsaved == 0 {
			if err := r.disk.memory.Compact(3); err != nil {
				t.Fatal(err)
			}
			if entries, ok := v.After(3); ok {
				t.Errorf("without the first pieces: %+v", entries)
			}
		}
	}
}
