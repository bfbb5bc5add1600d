package redis

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

func keysOf(names ...string) [][]byte {
	var keys [][]byte
	for _, n := range names {
		keys = append(keys, []byte(n))
	}
	return keys
}

func mustWatch(t *testing.T, w *Watcher, db int, names ...string) {
	t.Helper()
	if err := w.Watch(context.Background(), db, keysOf(names...)); err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, b *Backend) {
	t.Helper()
	if _, err := b.Open(context.Background(), testID); err != nil {
		t.Fatal(err)
	}
}

func mustCheck(t *testing.T, w *Watcher, want bool) {
	t.Helper()
	got, err := w.Untouched(context.Background())
	if err != nil || got != want {
		t.Errorf("untouched: %v, %v, want %v", got, err, want)
	}
}

func TestWatcher(t *testing.T) {
	ctx := context.Background()
	b := openBackend(t, testConfig(startServer(t).addr))
	w := b.NewWatcher()
	if _, err := w.Untouched(ctx); !errors.Is(err, errNotWatching) {
		t.Errorf("nothing was watched: %v", err)
	}
	w.Release(ctx)
	mustWatch(t, w, 0, "a", "b")
	mustCheck(t, w, true)
	if _, err := w.Untouched(ctx); !errors.Is(err, errNotWatching) {
		t.Errorf("checked twice: %v", err)
	}
	for i, touch := range []string{"SET a", "INCR a", "DEL a", "FLUSHALL ", "RENAME b", "SWAPDB 0", "MOVE b"} {
		mustApply(t, b, entry(uint64(2*i+1), op("MSET", "a", "1", "b", "2", "c", "3")))
		mustWatch(t, w, 0, "a")
		mustWatch(t, w, 0, "b")
		args := bytes.Fields([]byte(touch))
		switch string(args[0]) {
		case "SET", "RENAME":
			args = append(args, []byte("x"))
		case "SWAPDB":
			args = append(args, []byte("1"))
		case "MOVE":
			args = append(args, []byte("2"))
		}
		cmd := op("INCR", "c")
		cmd.Data = AppendOp(nil, Item{Cmd: AppendCommand(nil, args...)})
		mustApply(t, b, entry(uint64(2*i+2), cmd))
		mustCheck(t, w, false)
	}
	// The same connection, in another database, and given back while it watches.
	mustWatch(t, w, 5, "a")
	w.Release(ctx)
	mustApply(t, b, entry(15, opIn(5, "SET", "a", "1"), op("SET", "b", "1")))
	mustWatch(t, w, 0, "a")
	mustWatch(t, w, 5, "b")
	mustCheck(t, w, true)
	w.Release(ctx)
	if n := len(b.watchers.idle); n != 1 {
		t.Errorf("%d idle connections, want the one", n)
	}
	if n := b.watchers.taken; n != 0 {
		t.Errorf("%d connections count as taken", n)
	}
}

// What was watched on a connection that is gone counts as touched, also when more is watched afterwards.
func TestWatcherLost(t *testing.T) {
	ctx := context.Background()
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	lost := func(w *Watcher) {
		t.Helper()
		if err := w.Watch(ctx, 0, keysOf("c")); err == nil {
			t.Error("watched more without what was watched before")
		}
		if ok, err := w.Untouched(ctx); err == nil {
			t.Errorf("untouched: %v", ok)
		}
		w.Release(ctx)
		mustWatch(t, w, 0, "a")
		mustCheck(t, w, true)
		w.Release(ctx)
	}
	w := b.NewWatcher()
	mustWatch(t, w, 0, "a")
	b.watchers.dropAll()
	lost(w)
	mustWatch(t, w, 0, "a")
	s.restart()
	reopen(t, b)
	lost(w)
	w2 := b.NewWatcher()
	mustWatch(t, w, 0, "a")
	mustWatch(t, w2, 0, "a")
	w.Release(ctx)
	s.restart()
	reopen(t, b)
	mustWatch(t, w, 0, "a") // an idle connection that the restart closed
	w.Close()
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if ok, err := w2.Untouched(canceled); err == nil {
		t.Errorf("untouched: %v", ok)
	}
	w2.Release(ctx)
	if n := b.watchers.taken; n != 0 {
		t.Errorf("%d connections count as taken", n)
	}
}

func TestWatchersAreBounded(t *testing.T) {
	ctx := context.Background()
	cfg := testConfig(startServer(t).addr)
	cfg.WatchConns = 2
	b := openBackend(t, cfg)
	all := []*Watcher{b.NewWatcher(), b.NewWatcher(), b.NewWatcher()}
	mustWatch(t, all[0], 0, "a")
	mustWatch(t, all[1], 0, "a")
	if err := all[2].Watch(ctx, 0, keysOf("a")); !errors.Is(err, ErrWatchers) {
		t.Errorf("a third one: %v", err)
	}
	all[0].Release(ctx)
	mustWatch(t, all[2], 0, "a")
	all[1].Close()
	mustWatch(t, all[0], 0, "a")
	_ = b.Close()
	if err := all[1].Watch(ctx, 0, keysOf("a")); err == nil {
		t.Error("watched on a closed backend")
	}
	if err := b.NewWatcher().Watch(ctx, 0, keysOf("a")); !errors.Is(err, ErrClosed) {
		t.Errorf("watched on a closed backend: %v", err)
	}
}
