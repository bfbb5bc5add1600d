package redis

import (
	"sync"
	"sync/atomic"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// Arrivals tells readers that wait (XREAD BLOCK) when something may have come into a stream. Reads need no log, so this
// is each node's own: it sees what is applied to the local backend. It costs one look at a counter while nobody waits.
type Arrivals struct {
	waiting atomic.Int64

	mu      sync.Mutex
	byTopic map[string]map[*arrival]struct{}
}

// NewArrivals returns an Arrivals that nobody waits for.
func NewArrivals() *Arrivals {
	return &Arrivals{byTopic: make(map[string]map[*arrival]struct{})}
}

// arrival is one reader that waits.
type arrival struct {
	of     *Arrivals
	topics []string
	// came holds a token after something may have come.
	came chan struct{}
}

// watch begins before the reader looks, so that nothing comes unseen in between. The reader must call stop.
func (a *Arrivals) watch(topics []string) *arrival {
	w := &arrival{of: a, topics: topics, came: make(chan struct{}, 1)}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range topics {
		if a.byTopic[t] == nil {
			a.byTopic[t] = make(map[*arrival]struct{})
		}
		a.byTopic[t][w] = struct{}{}
	}
	a.waiting.Add(1)
	return w
}

func (w *arrival) stop() {
	a := w.of
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range w.topics {
		delete(a.byTopic[t], w)
		if len(a.byTopic[t]) == 0 {
			delete(a.byTopic, t)
		}
	}
	a.waiting.Add(-1)
}

func (w *arrival) notify() {
	select {
	case w.came <- struct{}{}:
	default:
	}
}

// applied wakes the readers that entries may concern.
func (a *Arrivals) applied(table *policy.Table, ctx policy.Context, entries []raft.Entry) {
	if a.waiting.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	all := len(entries) == 0
	var items []backend.Item
	var brings []policy.Brought
	bring := bringer{table: table, ctx: ctx}
	for i := range entries {
		for j := range entries[i].Commands {
			var err error
			if items, err = backend.DecodeOp(entries[i].Commands[j].Data, items); err != nil {
				all = true
				continue
			}
			for k := range items {
				var any bool
				brings, any = bring.append(brings[:0], &items[k], false)
				all = all || any
				a.wake(brings)
			}
		}
	}
	if all {
		for _, ws := range a.byTopic {
			for w := range ws {
				w.notify()
			}
		}
	}
}

func (a *Arrivals) wake(brings []policy.Brought) {
	for _, b := range brings {
		if b.Kind != policy.KindStream {
			continue
		}
		for w := range a.byTopic[topicOf(b.Kind, b.DB, b.Key)] {
			w.notify()
		}
	}
}

var _ raft.Observer = (*Sequencer)(nil)

// Applied implements raft.Observer.
func (q *Sequencer) Applied(entries []raft.Entry) { q.arrivals.applied(q.table, q.ctx, entries) }
