package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// counters is how many counters a load increments.
const counters = 4

// load writes through several nodes, while a test breaks things, and remembers what it was told.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	nodes  []*cluster.Node
	gate   sync.RWMutex // held by each command; taken whole by pause

	mu       sync.Mutex
	acked    [counters]int            // acknowledged increments
	unknown  [counters]int            // increments of unknown outcome
	replies  [counters]map[int64]bool // what acknowledged increments answered
	keys     map[string]string        // acknowledged unique keys
	maybe    map[string]string        // unique keys of unknown outcome
	problems []error
}

// startLoad starts clients, which go on until finish. Each begins at a node of its own and goes to the next one when
// it gets an error.
func startLoad(t *testing.T, nodes []*cluster.Node, clients int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, nodes: nodes, keys: make(map[string]string), maybe: make(map[string]string)}
	for i := range l.replies {
		l.replies[i] = make(map[int64]bool)
	}
	for i := range clients {
		l.wg.Go(func() { l.work(ctx, i) })
	}
	t.Cleanup(l.finish)
	return l
}

// finish stops the clients and waits for them.
func (l *load) finish() {
	l.cancel()
	l.wg.Wait()
}

// pause holds back the clients and waits for the commands under way; resume lets them go on.
func (l *load) pause()  { l.gate.Lock() }
func (l *load) resume() { l.gate.Unlock() }

func (l *load) work(ctx context.Context, worker int) {
	pool := make([]*redis.Client, len(l.nodes))
	for i, n := range l.nodes {
		pool[i] = redis.NewClient(&redis.Options{
			Addr: n.Addr(), MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 6 * time.Second,
		})
		defer pool[i].Close() //revive:disable-line:defer // one for each of three nodes
	}
	at := worker % len(pool)
	for i := 0; ctx.Err() == nil; i++ {
		// The commands do not end with ctx: what was sent is waited for, so that few outcomes are unknown.
		var err error
		l.gate.RLock()
		if i%2 == 0 {
			err = l.increment(context.WithoutCancel(ctx), pool[at], (worker+i/2)%counters)
		} else {
			err = l.set(context.WithoutCancel(ctx), pool[at], fmt.Sprintf("w:%d:%d", worker, i), strconv.Itoa(i))
		}
		l.gate.RUnlock()
		if err != nil {
			at = (at + 1) % len(pool)
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (l *load) increment(ctx context.Context, c *redis.Client, counter int) error {
	value, err := c.Incr(ctx, counterKey(counter)).Result()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch outcomeOf(err) {
	case acknowledged:
		if l.replies[counter][value] {
			l.problems = append(l.problems, fmt.Errorf("two increments of counter %d answer %d", counter, value))
		}
		l.replies[counter][value] = true
		l.acked[counter]++
	case unknown:
		l.unknown[counter]++
	case notDone:
	}
	return err
}

func (l *load) set(ctx context.Context, c *redis.Client, key, value string) error {
	err := c.Set(ctx, key, value, 0).Err()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch outcomeOf(err) {
	case acknowledged:
		l.keys[key] = value
	case unknown:
		l.maybe[key] = value
	case notDone:
	}
	return err
}

func counterKey(counter int) string { return fmt.Sprintf("ctr:%d", counter) }

// total is how many writes were acknowledged until now.
func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.keys)
	for _, acked := range l.acked {
		n += acked
	}
	return n
}

// awaitProgress waits until n more writes are acknowledged.
func (l *load) awaitProgress(t *testing.T, n int) {
	t.Helper()
	want := l.total() + n
	eventually(t, 40*time.Second, func() error {
		if got := l.total(); got < want {
			return fmt.Errorf("%d of %d writes are acknowledged", got, want)
		}
		return nil
	})
}

// verify compares the final state with what the clients were told: no acknowledged write is lost, none was applied
// twice, and nothing is there that nobody wrote.
func (l *load) verify(t *testing.T, state cluster.State) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.problems...); err != nil {
		t.Error(err)
	}
	for i := range counters {
		value := stringOf(state, "0/"+counterKey(i))
		got, err := strconv.Atoi(value)
		if err != nil {
			t.Errorf("counter %d is %q", i, value)
			continue
		}
		if got < l.acked[i] || got > l.acked[i]+l.unknown[i] {
			t.Errorf("counter %d is %d after %d acknowledged increments and %d of unknown outcome", i, got, l.acked[i], l.unknown[i])
		}
	}
	var lost []string
	for key, value := range l.keys {
		if stringOf(state, "0/"+key) != value {
			lost = append(lost, key)
		}
	}
	if slices.Sort(lost); len(lost) > 0 {
		t.Errorf("%d of %d acknowledged keys are lost or wrong: %.10q", len(lost), len(l.keys), lost)
	}
	for key, value := range l.maybe {
		if got, ok := state["0/"+key]; ok && stringOf(state, "0/"+key) != value {
			t.Errorf("%s is %s, which nobody wrote", key, got)
		}
	}
	t.Logf("%d keys and %v increments acknowledged, %d and %v unknown", len(l.keys), l.acked, len(l.maybe), l.unknown)
}

// stringOf returns the value of a string key without a deadline.
func stringOf(state cluster.State, key string) string {
	var quoted string
	if _, err := fmt.Sscanf(state[key], "string deadline -1 value %q", &quoted); err != nil {
		return ""
	}
	return quoted
}
