package raft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWriteAnywhereReadAnywhere(t *testing.T) {
	for _, leases := range []bool{false, true} {
		t.Run(fmt.Sprintf("leases=%v", leases), func(t *testing.T) {
			c := newTestCluster(t, 3, func(cfg *Config) { cfg.LeaseReads = leases })
			for i := range 60 {
				value := strconv.Itoa(i)
				if got := c.propose(i%3, "k="+value); got != value {
					t.Fatalf("reply %q, want %q", got, value)
				}
				if got := c.read((i+1)%3, "k"); got != value {
					t.Fatalf("read %q after %q was acknowledged", got, value)
				}
			}
			c.converged()
		})
	}
}

func TestSingleMember(t *testing.T) {
	c := newTestCluster(t, 1, func(cfg *Config) { cfg.LeaseReads = true })
	c.leader()
	c.propose(0, "k=v")
	if got := c.read(0, "k"); got != "v" {
		t.Fatalf("read %q", got)
	}
	c.stop(0)
	c.start(0)
	if got := c.read(0, "k"); got != "v" {
		t.Fatalf("read %q after a restart", got)
	}
}

func TestCommandsOfOneProposeStandTogether(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for j := range 30 {
				cmds := [][]byte{[]byte("a+"), fmt.Appendf(nil, "who=%d.%d", i, j), []byte("a+")}
				out, err := c.nodes[i].Propose(context.Background(), cmds)
				if err != nil {
					t.Error(err)
					return
				}
				first, _ := strconv.Atoi(string(out.Replies[0].Data))
				if last, _ := strconv.Atoi(string(out.Replies[2].Data)); last != first+1 {
					t.Errorf("commands of another call came between: %d, %d", first, last)
				}
			}
		})
	}
	wg.Wait()
	c.converged()
}

// A leader that disappears under load: every acknowledged count is there, none twice, and calls in flight on the other
// nodes succeed by themselves.
func TestLeaderLostUnderLoad(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	var acked, unknown atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		node := c.nodes[i]
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					_, err := node.Propose(context.Background(), [][]byte{[]byte("n+")})
					switch {
					case err == nil:
						acked.Add(1)
					case errors.Is(err, ErrOutcomeUnknown):
						unknown.Add(1)
						if i != leader {
							t.Errorf("outcome unknown on a survivor: %v", err)
						}
					case i != leader:
						t.Errorf("on a survivor: %v", err)
					}
					if i == leader && err != nil {
						return
					}
				}
			})
		}
	}
	for round := range 3 {
		time.Sleep(200 * time.Millisecond)
		if round == 0 {
			c.stop(leader)
		}
	}
	eventually(t, "new leader", func() bool {
		for i, r := range c.nodes {
			if i != leader && r.Status().Role == "leader" {
				return true
			}
		}
		return false
	})
	time.Sleep(200 * time.Millisecond)
	close(stop)
	wg.Wait()
	c.start(leader)
	final, _ := strconv.Atoi(c.propose(leader, "n+"))
	final--
	if low, high := acked.Load(), acked.Load()+unknown.Load(); int64(final) < low || int64(final) > high {
		t.Fatalf("counter is %d, want between %d acknowledged and %d with those of unknown outcome", final, low, high)
	}
	t.Logf("acknowledged %d, unknown %d, counter %d", acked.Load(), unknown.Load(), final)
	c.converged()
}

func TestNoQuorum(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.Timeout = 500 * time.Millisecond })
	leader := c.leader()
	other := (leader + 1) % 3
	c.stop(other)
	c.stop((leader + 2) % 3)
	_, err := c.nodes[leader].Propose(context.Background(), [][]byte{[]byte("k=v")})
	if !errors.Is(err, ErrNotDone) && !errors.Is(err, ErrOutcomeUnknown) {
		t.Fatalf("propose without a quorum: %v", err)
	}
	err = c.nodes[leader].Read(context.Background(), func(context.Context) error { return nil })
	if !errors.Is(err, ErrNotDone) {
		t.Fatalf("read without a quorum: %v", err)
	}
	eventually(t, "the leader to step down", func() bool { return c.nodes[leader].Status().Leader == 0 })
	_, err = c.nodes[leader].Propose(context.Background(), [][]byte{[]byte("k=w")})
	if !errors.Is(err, ErrNotDone) {
		t.Fatalf("propose without a leader: %v, want ErrNotDone", err)
	}
	c.start(other)
	// An election may take longer than the short limit of this test.
	eventually(t, "a write with a quorum", func() bool {
		_, err := c.nodes[other].Propose(context.Background(), [][]byte{[]byte("k=x")})
		return err == nil
	})
	eventually(t, "a read with a quorum", func() bool {
		var got string
		err := c.nodes[leader].Read(context.Background(), func(context.Context) error {
			got = c.stores[leader].get("k")
			return nil
		})
		if err == nil && got != "x" {
			t.Fatalf("read %q", got)
		}
		return err == nil
	})
}

func TestRestartAll(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	for i := range 30 {
		c.propose(i%3, "n+")
	}
	for i := range 3 {
		c.stop(i)
	}
	c.stores[2].wipe()
	for i := range 3 {
		c.start(i)
	}
	if got := c.propose(2, "n+"); got != "31" {
		t.Fatalf("counter is %s after a restart, want 31", got)
	}
	c.converged()
}

func TestTransferLeadership(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.LeaseReads = true })
	for i := range 3 {
		id := c.nodes[i].Status().ID
		if err := c.nodes[(i+1)%3].TransferLeadership(context.Background(), id); err != nil {
			t.Fatal(err)
		}
		if got := c.leader(); got != i {
			t.Fatalf("leader is node %d, want %d", got, i)
		}
		c.propose(i, fmt.Sprintf("k=%d", i))
		if got := c.read((i+1)%3, "k"); got != strconv.Itoa(i) {
			t.Fatalf("read %q", got)
		}
	}
}

func TestMistakenDirectories(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.leader()
	tests := []struct {
		name string
		tune func(*Config)
		want string
	}{
		{"directory in use", func(cfg *Config) {}, "in use by another process"},
		{"another node", func(cfg *Config) {
			c.stop(0)
			cfg.NodeURL = "http://127.0.0.1:1"
			cfg.ClusterURLs = []string{cfg.NodeURL}
		}, "belongs to node"},
		{"another cluster", func(cfg *Config) { cfg.ClusterName = "other" }, `belongs to cluster "nexus", not "other"`},
		{"backend of another node", func(cfg *Config) { s := newMapStore(); s.id = Identity{1, 2}; cfg.Store = s }, "backend belongs to"},
		{"backend ahead of the log", func(cfg *Config) {
			s := newMapStore()
			s.position = Position{Term: 9, Index: 999}
			cfg.Store = s
		}, "data directory is older than the backend"},
		{"identity lost", func(cfg *Config) { os.Remove(filepath.Join(cfg.DataDir, identityFile)) }, "has a log but no identity.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := c.config(0)
			test.tune(&cfg)
			r, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err = r.Start(ctx)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestMisconfiguredKeepsItsReason(t *testing.T) {
	if err := error(errMisconfigured{fmt.Errorf("%w: long ago", ErrRemoved)}); !errors.Is(err, ErrRemoved) {
		t.Fatalf("%v is not %v", err, ErrRemoved)
	}
}

func TestDamagedLog(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "k=v")
	c.propose(0, "k=w")
	c.stop(0)
	segments, err := filepath.Glob(filepath.Join(c.dirs[0], walDir, "*.wal"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments %v: %v", segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, []byte("k=v"))] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := New(c.config(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(context.Background()); err == nil || !strings.Contains(err.Error(), "read the log in") {
		t.Fatalf("got %v, want an error about the log", err)
	}
}

func TestConfigValidate(t *testing.T) {
	good := NewConfig()
	good.NodeURL, good.ClusterURLs, good.DataDir, good.Store = "http://a:1", []string{"http://a:1"}, "d", newMapStore()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"NodeURL":       func(c *Config) { c.NodeURL = "a:1" },
		"ClusterURLs":   func(c *Config) { c.ClusterURLs = []string{"http://a:1", "http://a:1"} },
		"DataDir":       func(c *Config) { c.DataDir = "" },
		"Store":         func(c *Config) { c.Store = nil },
		"ElectionTicks": func(c *Config) { c.ElectionTicks = 2 },
		"Timeout":       func(c *Config) { c.Timeout = 0 },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
