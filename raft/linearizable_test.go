package raft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
)

// registerInput is an operation on one of a few registers.
type registerInput struct {
	write bool
	key   string
	value string
}

var registerModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := make(map[string][]porcupine.Operation)
		for _, op := range history {
			key := op.Input.(registerInput).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, ops := range byKey {
			parts = append(parts, ops)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in := input.(registerInput)
		if in.write {
			return true, in.value
		}
		return output.(string) == state.(string), state
	},
}

// history records operations. A write whose outcome is unknown may take effect at any later time.
type history struct {
	start time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) now() int64 { return int64(time.Since(h.start)) }

func (h *history) add(op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

func (h *history) check(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	result, info := porcupine.CheckOperationsVerbose(registerModel, h.ops, time.Minute)
	t.Logf("%d operations", len(h.ops))
	if result != porcupine.Ok {
		path := filepath.Join(t.ArtifactDir(), "history.html")
		if err := porcupine.VisualizePath(registerModel, info, path); err != nil {
			t.Error(err)
		}
		t.Fatalf("history is not linearizable (%v), see %s", result, path)
	}
}

// acquainted waits until each member has added the others to its transport. Until then they are strangers to it, whose
// messages cut does not hold back; and mending a stranger that was not cut leaves senders behind which nothing stops.
func (c *testCluster) acquainted() {
	c.t.Helper()
	eventually(c.t, "members that know each other", func() bool {
		for _, from := range c.nodes {
			for _, to := range c.nodes {
				if from != to && from.transport.http.(*rafthttp.Transport).Get(types.ID(to.identity.ID)) == nil {
					return false
				}
			}
		}
		return true
	})
}

// cut drops all raft messages between a and b, or lets them through again.
func (c *testCluster) cut(a, b int, drop bool) {
	for _, pair := range [][2]int{{a, b}, {b, a}} {
		from, to := c.nodes[pair[0]], c.nodes[pair[1]]
		if from == nil || to == nil {
			continue
		}
		if drop {
			from.transport.http.(*rafthttp.Transport).CutPeer(types.ID(to.identity.ID))
		} else {
			from.transport.http.(*rafthttp.Transport).MendPeer(types.ID(to.identity.ID))
		}
	}
}

// Registers through all members while members are isolated from each other, alone or by leadership transfers.
func TestLinearizableUnderPartitions(t *testing.T) {
	t.Parallel()
	for _, leases := range []bool{false, true} {
		t.Run(fmt.Sprintf("leases=%v", leases), func(t *testing.T) {
			t.Parallel()
			testLinearizable(t, leases)
		})
	}
}

func testLinearizable(t *testing.T, leases bool) {
	c := newTestCluster(t, 3, func(cfg *Config) {
		cfg.ApplyInterval = 20 * time.Millisecond
		cfg.LeaseReads = leases
		cfg.SnapshotCount = 50
		cfg.Timeout = 500 * time.Millisecond
	})
	c.leader()
	c.acquainted()
	h := &history{start: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for client := range 9 {
		wg.Go(func() { runRegisterClient(ctx, c, h, client) })
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for ctx.Err() == nil {
		victim := rng.IntN(3)
		switch rng.IntN(3) {
		case 0:
			transfer, stop := context.WithTimeout(ctx, 300*time.Millisecond)
			_ = c.nodes[rng.IntN(3)].TransferLeadership(transfer, c.nodes[victim].identity.ID)
			stop()
		default:
			for other := range 3 {
				c.cut(victim, other, other != victim)
			}
			pause(ctx, time.Duration(100+rng.IntN(600))*time.Millisecond)
			for other := range 3 {
				c.cut(victim, other, false)
			}
		}
		pause(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
	}
	wg.Wait()
	h.check(t)
	// An election may take longer than the short limit of this test.
	eventually(t, "a write with a quorum", func() bool {
		_, err := c.nodes[0].Propose(context.Background(), [][]byte{[]byte("end=1")})
		return err == nil
	})
	c.converged()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func runRegisterClient(ctx context.Context, c *testCluster, h *history, client int) {
	rng := rand.New(rand.NewPCG(uint64(client), 1))
	id := client
	for n := 0; ctx.Err() == nil; n++ {
		node := rng.IntN(3)
		in := registerInput{write: rng.IntN(2) == 0, key: fmt.Sprint("r", rng.IntN(3)), value: fmt.Sprintf("%d.%d", client, n)}
		op := porcupine.Operation{ClientId: id, Input: in, Call: h.now()}
		if !in.write {
			var value string
			err := c.nodes[node].Read(context.Background(), func(context.Context) error {
				value = c.stores[node].get(in.key)
				return nil
			})
			if err == nil {
				op.Output, op.Return = value, h.now()
				h.add(op)
			}
			continue
		}
		_, err := c.nodes[node].Propose(context.Background(), [][]byte{[]byte(in.key + "=" + in.value)})
		switch {
		case err == nil:
			op.Output, op.Return = "", h.now()
			h.add(op)
		case errors.Is(err, ErrOutcomeUnknown):
			op.Output, op.Return = "", int64(time.Hour)
			h.add(op)
			id += 100 // the operation never ends, so it needs a client of its own
		}
		pause(ctx, time.Duration(rng.IntN(5))*time.Millisecond)
	}
}
