package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// doList executes a command of listRules on lists, kept as words.
func (s *mapStore) doList(cmd string) string {
	w := strings.Fields(cmd)
	if topics, ok := strings.CutPrefix(w[0], "try:"); ok {
		w = append(w[1:2:2], strings.Split(topics, ",")...)
		if w[0] == "move" {
			w = strings.Fields(cmd)[1:]
		}
	}
	list := func(k string) []string { return strings.Fields(s.data[k]) }
	switch w[0] {
	case "push":
		s.data[w[1]] = strings.Join(append(list(w[1]), w[2:]...), " ")
		return "ok"
	case "pop", "move":
		keys := w[1:]
		if w[0] == "move" {
			keys = w[1:2]
		}
		for _, k := range keys {
			if l := list(k); len(l) > 0 {
				s.data[k] = strings.Join(l[1:], " ")
				if w[0] == "move" {
					s.data[w[2]] = strings.Join(append(list(w[2]), l[0]), " ")
				}
				return l[0]
			}
		}
		return "nil"
	}
	return "unknown"
}

// newListCluster returns n members whose stores hold lists.
func newListCluster(t *testing.T, n int) *testCluster {
	return newTestCluster(t, n, func(cfg *Config) {
		store := cfg.Store.(*mapStore)
		store.mu.Lock()
		store.lists = true
		store.mu.Unlock()
		cfg.Sequencer = listRules{}
	})
}

// waiting is a Wait call that runs.
type waiting struct {
	parked chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
	answer string
	err    error
}

func (c *testCluster) wait(i int, cmd string) *waiting { return c.waitArrived(i, time.Time{}, cmd) }

func (c *testCluster) waitArrived(i int, arrived time.Time, cmd string) *waiting {
	ctx, cancel := context.WithCancel(context.Background())
	w := &waiting{parked: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	node := c.nodes[i]
	go func() {
		defer close(w.done)
		out, err := node.Wait(ctx, arrived, []byte(cmd), func() {}, func() { close(w.parked) })
		w.err = err
		if err == nil {
			w.answer, w.err = string(out.Replies[0].Data), out.Replies[0].Err
		}
	}()
	c.t.Cleanup(func() {
		cancel()
		<-w.done
	})
	return w
}

// parkedWait returns when the command is known to wait.
func (c *testCluster) parkedWait(i int, cmd string) *waiting {
	c.t.Helper()
	w := c.wait(i, cmd)
	c.must(w.parked, "wait of "+cmd)
	return w
}

func (c *testCluster) must(ch <-chan struct{}, what string) {
	c.t.Helper()
	select {
	case <-ch:
	case <-time.After(40 * time.Second):
		c.t.Fatalf("no %s within 40 s", what)
	}
}

func (c *testCluster) answered(w *waiting, want string) {
	c.t.Helper()
	c.must(w.done, "answer "+want)
	if w.err != nil || w.answer != want {
		c.t.Errorf("got %q, %v, want %q", w.answer, w.err, want)
	}
}

func TestWaitFirstComeFirstServedOverAllMembers(t *testing.T) {
	c := newListCluster(t, 3)
	c.leader()
	var waits []*waiting
	for i := range 9 {
		waits = append(waits, c.parkedWait(i%3, "pop k"))
	}
	c.propose(1, "push k 0 1 2")
	c.propose(2, "push k 3")
	c.propose(0, "push k 4 5 6 7 8")
	for i, w := range waits {
		c.answered(w, fmt.Sprint(i))
	}
	c.converged()
	if _, data := c.stores[0].snapshot(); data["k"] != "" {
		t.Errorf("left: %q", data["k"])
	}
	// With something there nobody waits.
	c.propose(0, "push k x")
	c.answered(c.wait(1, "pop k"), "x")
}

// Nobody sees an element between a push and the one who waited for it.
func TestWaitServedInTheSameEntry(t *testing.T) {
	c := newListCluster(t, 1)
	c.leader()
	first, second := c.parkedWait(0, "move a b"), c.parkedWait(0, "pop b")
	c.propose(0, "push a x")
	if _, data := c.stores[0].snapshot(); data["a"] != "" || data["b"] != "" {
		t.Errorf("seen: %v", data)
	}
	c.answered(first, "x")
	c.answered(second, "x")
}

func TestWaitEnds(t *testing.T) {
	c := newListCluster(t, 3)
	c.leader()
	for i := range 3 {
		w := c.parkedWait(i, "pop k")
		w.cancel()
		c.must(w.done, "end")
		if !errors.Is(w.err, ErrWaitEnded) {
			t.Errorf("node %d: %q, %v", i, w.answer, w.err)
		}
		c.propose(i, "push k x")
		if got := c.propose(i, "pop k"); got != "x" {
			t.Errorf("node %d: %q was taken for one who had left", i, got)
		}
	}
}

// A node whose backend says nothing does not know whether one who waits there was served before its time was up, or before the wait was
// lost. It must say neither that he was not nor that he may be asked for again.
func TestWaitThatMayHaveBeenServed(t *testing.T) {
	t.Parallel()
	for _, end := range []func(c *testCluster, i int, w *waiting){
		func(_ *testCluster, _ int, w *waiting) { w.cancel() },
		func(c *testCluster, i int, _ *waiting) { c.nodes[i].mail.call(func() { c.nodes[i].link.cancel() }) },
	} {
		c := newListCluster(t, 3)
		i := c.follower()
		w := c.parkedWait(i, "pop k")
		release := sync.OnceFunc(c.stores[i].hang())
		t.Cleanup(release)
		c.propose(c.leader(), "push k x")
		end(c, i, w)
		c.must(w.done, "end")
		if !errors.Is(w.err, ErrOutcomeUnknown) || errors.Is(w.err, ErrWaitEnded) || errors.Is(w.err, ErrNotDone) {
			t.Errorf("%q, %v", w.answer, w.err)
		}
		release()
		if got := c.propose(c.leader(), "pop k"); got != "nil" {
			t.Errorf("%q was not taken", got)
		}
	}
}

// Waits and pushes race, waits end at any moment: every element is taken once, or still there.
func TestWaitLosesNothing(t *testing.T) {
	c := newListCluster(t, 3)
	lead := c.leader()
	testWaitLosesNothing(t, c, func() {})
	_ = lead
}

func TestWaitLosesNothingWhenTheLeaderDies(t *testing.T) {
	c := newListCluster(t, 3)
	testWaitLosesNothing(t, c, func() {
		lead := c.leader()
		c.stop(lead)
		c.leader()
		c.start(lead)
	})
}

func testWaitLosesNothing(t *testing.T, c *testCluster, disturb func()) {
	nodes := slices.Clone(c.nodes)
	stop := make(chan struct{})
	var mu sync.Mutex
	taken := make(map[string]int)
	uncertain := 0
	var waiters, pushers sync.WaitGroup
	for i := range 24 {
		node, keys := nodes[i%3], []string{"pop a b", "pop b", "pop a", "move a b"}[i%4]
		waiters.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+n%7)*10*time.Millisecond)
				out, err := node.Wait(ctx, time.Time{}, []byte(keys), func() {}, nil)
				cancel()
				mu.Lock()
				switch {
				case err == nil && out.Replies[0].Err == nil:
					if !strings.HasPrefix(keys, "move") {
						taken[string(out.Replies[0].Data)]++
					}
				case errors.Is(err, ErrWaitEnded), errors.Is(err, ErrNotDone):
				default:
					uncertain++
				}
				mu.Unlock()
				if errors.Is(err, ErrStopped) {
					return
				}
			}
		})
	}
	pushed := make(map[string]bool)
	for i := range 3 {
		pushers.Go(func() {
			for n := range 150 {
				x := fmt.Sprintf("%d.%d", i, n)
				for {
					_, err := nodes[i].Propose(context.Background(), [][]byte{[]byte("push " + []string{"a ", "b "}[n%2] + x)})
					if errors.Is(err, ErrStopped) {
						return
					}
					mu.Lock()
					if err == nil {
						pushed[x] = true
					} else if !errors.Is(err, ErrNotDone) {
						uncertain++
					}
					mu.Unlock()
					if !errors.Is(err, ErrNotDone) {
						break
					}
				}
			}
		})
	}
	disturb()
	pushers.Wait()
	close(stop)
	waiters.Wait()
	c.converged()
	_, data := c.stores[0].snapshot()
	left := make(map[string]bool)
	for _, list := range data {
		for _, x := range strings.Fields(list) {
			if left[x] {
				t.Errorf("%s is there twice", x)
			}
			left[x] = true
		}
	}
	lost := 0
	for x := range pushed {
		switch n := taken[x]; {
		case n > 1, n == 1 && left[x]:
			t.Errorf("%s was taken %d times, and is there: %v", x, n, left[x])
		case n == 0 && !left[x]:
			lost++
		}
	}
	if lost > uncertain {
		t.Errorf("%d elements are lost, with %d uncertain outcomes", lost, uncertain)
	}
	t.Logf("%d pushed, %d taken, %d left, %d lost, %d uncertain", len(pushed), len(taken), len(left), lost, uncertain)
}

// The leader pops nothing for clients of a node that is gone, and those of others are served.
func TestWaitOfNodeThatIsGone(t *testing.T) {
	c := newListCluster(t, 3)
	lead := c.leader()
	gone, other := (lead+1)%3, (lead+2)%3
	lost := c.parkedWait(gone, "pop k")
	w := c.parkedWait(other, "pop k")
	c.stop(gone)
	c.must(lost.done, "end of the wait on the node that is gone")
	eventually(t, "forgotten waiter", func() bool { return len(c.waitersOn(lead)) == 1 })
	c.propose(lead, "push k x")
	c.answered(w, "x")
	c.start(gone)
}

// waitersOn returns who waits on a leader.
func (c *testCluster) waitersOn(i int) []waitID {
	got := make(chan []waitID, 1)
	r := c.nodes[i]
	r.mail.call(func() {
		var list []waitID
		for id := range r.waits.byID {
			list = append(list, id)
		}
		got <- list
	})
	return <-got
}

// Those who waited on a leader wait on the next one.
func TestWaitOverChangeOfLeader(t *testing.T) {
	c := newListCluster(t, 3)
	lead := c.leader()
	var waits []*waiting
	for range 20 {
		for i := range 3 {
			if i != lead {
				waits = append(waits, c.parkedWait(i, "pop k"))
			}
		}
	}
	c.stop(lead)
	next := c.leader()
	eventually(t, "waiters on the next leader", func() bool { return len(c.waitersOn(next)) == len(waits) })
	var values []string
	for i := range waits {
		values = append(values, fmt.Sprint(i))
	}
	c.propose(next, "push k "+strings.Join(values, " "))
	var got []string
	for _, w := range waits {
		c.must(w.done, "answer")
		if w.err != nil {
			t.Error(w.err)
		}
		got = append(got, w.answer)
	}
	slices.Sort(got)
	slices.Sort(values)
	if !slices.Equal(got, values) {
		t.Errorf("got %v, want %v", got, values)
	}
	c.start(lead)
}

// A link that breaks while the leader stays: those who wait ask again.
func TestWaitOverBrokenLink(t *testing.T) {
	c := newListCluster(t, 3)
	lead := c.leader()
	w := c.parkedWait((lead+1)%3, "pop k")
	r := c.nodes[lead]
	before := c.waitersOn(lead)
	r.mail.call(func() {
		for _, l := range r.links {
			r.dropLink(l)
		}
	})
	eventually(t, "another wait", func() bool { l := c.waitersOn(lead); return len(l) == 1 && l[0] != before[0] })
	c.propose(lead, "push k x")
	c.answered(w, "x")
}
