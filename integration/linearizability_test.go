package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestLinearizability records what clients of all nodes see of a few registers while leaders are killed and paused, and
// searches for an order in which one Redis could have answered so.
func TestLinearizability(t *testing.T) {
	for _, flags := range [][]string{nil, {"-nexusLeaseBasedReads"}} {
		t.Run(fmt.Sprint("flags ", flags), func(t *testing.T) {
			c := startCluster(t, flags...)
			h := startHistory(t, c.Nodes, 9)
			disturb(t, c)
			operations := h.finish()
			result, info := porcupine.CheckOperationsVerbose(registers, operations, 60*time.Second)
			reads, writes := 0, 0
			for _, op := range operations {
				if op.Input.(access).write {
					writes++
				} else {
					reads++
				}
			}
			t.Logf("%d reads and %d writes, of which %d of unknown outcome", reads, writes, h.unknown)
			if result != porcupine.Ok {
				t.Errorf("the history is not linearizable: %v", result)
				if err := porcupine.VisualizePath(registers, info, t.ArtifactDir()+"/history.html"); err != nil {
					t.Error(err)
				}
			}
			if reads < 500 || writes < 500 {
				t.Errorf("%d reads and %d writes are too few to tell anything", reads, writes)
			}
			if _, err := c.AwaitEqual(within(t, 40*time.Second)); err != nil {
				t.Error(err)
			}
		})
	}
}

// disturb pauses one leader, then kills the next, each in the midst of what clients do, and brings them back.
func disturb(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	quiet := func() { time.Sleep(500 * time.Millisecond) } // of normal operation, which belongs in the history too
	quiet()
	paused := must(c.Leader(within(t, 40*time.Second)))(t)
	check(t, paused.Pause())
	must(c.Leader(within(t, 40*time.Second), paused))(t)
	quiet()
	check(t, paused.Resume())
	quiet()
	killed := must(c.Leader(within(t, 40*time.Second)))(t)
	check(t, killed.Kill())
	must(c.Leader(within(t, 40*time.Second)))(t)
	quiet()
	check(t, killed.StartReady(within(t, 40*time.Second)))
	// A short pause, too short for an election: the leader goes on where it was.
	again := must(c.Leader(within(t, 40*time.Second)))(t)
	check(t, again.Pause())
	quiet()
	check(t, again.Resume())
	check(t, c.AwaitReady(within(t, 40*time.Second)))
	quiet()
}

// access to one register: a write of value, or a read.
type access struct {
	register int
	write    bool
	value    string
}

// registers is the model: each holds the value written last, "" at first.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make(map[int][]porcupine.Operation)
		for _, op := range history {
			r := op.Input.(access).register
			parts[r] = append(parts[r], op)
		}
		var out [][]porcupine.Operation
		for _, part := range parts {
			out = append(out, part)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if a := input.(access); a.write {
			return true, a.value
		}
		return output == state, state
	},
	DescribeOperation: func(input, output any) string {
		if a := input.(access); a.write {
			return fmt.Sprintf("set %d %s", a.register, a.value)
		}
		return fmt.Sprintf("get %d = %q", input.(access).register, output)
	},
}

// history is what clients did and saw.
type history struct {
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	begin   time.Time
	next    atomic.Int64 // values written, each unique
	mu      sync.Mutex
	ops     []porcupine.Operation
	unknown int
}

func startHistory(t *testing.T, nodes []*cluster.Node, clients int) *history {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &history{cancel: cancel, begin: time.Now()}
	for i := range clients {
		h.wg.Go(func() { h.work(ctx, i, nodes[i%len(nodes)]) })
	}
	t.Cleanup(func() { h.finish() })
	return h
}

// finish stops the clients and returns the history.
func (h *history) finish() []porcupine.Operation {
	h.cancel()
	h.wg.Wait()
	// A write of unknown outcome may take effect at any later time.
	end := h.now()
	for i := range h.ops {
		if h.ops[i].Return < 0 {
			h.ops[i].Return = end
		}
	}
	return h.ops
}

func (h *history) now() int64 { return time.Since(h.begin).Nanoseconds() }

func (h *history) work(ctx context.Context, id int, n *cluster.Node) {
	c := redis.NewClient(&redis.Options{
		Addr: n.Addr(), MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 3 * time.Second,
	})
	defer c.Close()
	for ctx.Err() == nil {
		a := access{register: rand.IntN(5), write: rand.IntN(2) == 0}
		op := porcupine.Operation{ClientId: id, Call: h.now()}
		key := fmt.Sprint("register:", a.register)
		var err error
		if a.write {
			a.value = strconv.FormatInt(h.next.Add(1), 10)
			err = c.Set(context.WithoutCancel(ctx), key, a.value, 0).Err()
		} else {
			op.Output, err = c.Get(context.WithoutCancel(ctx), key).Result()
			if errors.Is(err, redis.Nil) {
				err = nil
			}
		}
		op.Input, op.Return = a, h.now()
		h.record(op, a.write, err)
		// Few enough operations at a time that the search ends soon.
		time.Sleep(time.Duration(1+rand.IntN(5)) * time.Millisecond)
	}
}

// record keeps what an operation tells. A read that failed tells nothing, nor does a write that was not executed.
func (h *history) record(op porcupine.Operation, write bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch outcome := outcomeOf(err); {
	case outcome == acknowledged:
	case write && outcome == unknown:
		h.unknown++
		op.Return = -1
	default:
		return
	}
	h.ops = append(h.ops, op)
}
