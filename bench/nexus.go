package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/bench/report"
	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/lan"
)

func startRedis(ctx context.Context, e *env, args ...string) (*system, error) {
	dir, err := os.MkdirTemp(e.dir, "redis-")
	if err != nil {
		return nil, err
	}
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	r, err := cluster.NewRedis(filepath.Base(dir), dir, port)
	if err != nil {
		return nil, err
	}
	r.Args = append(r.Args, args...)
	s := &system{processes: backends(&r.Process), at: fixed(r.Addr())}
	s.stop = func() error { return stopAll(s.processes) }
	if err := r.StartReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func nexusStarter(size int, flags ...string) func(context.Context, *env) (*system, error) {
	return func(ctx context.Context, e *env) (*system, error) {
		return startNexus(ctx, e, "redis_repl", cluster.Options{Size: size, Flags: flags})
	}
}

func startNexusMySQL(ctx context.Context, e *env) (*system, error) {
	return startNexus(ctx, e, "mysql_repl", cluster.Options{MySQL: true, Flags: []string{"-nexusLeaseBasedReads"}})
}

func startNexus(ctx context.Context, e *env, program string, o cluster.Options) (*system, error) {
	var err error
	if o.Binary, err = filepath.Abs(filepath.Join(e.bin, program)); err != nil {
		return nil, err
	}
	if o.Dir, err = os.MkdirTemp(e.dir, "nexus-"); err != nil {
		return nil, err
	}
	closeLAN := func() error { return nil }
	if e.apart {
		if o.LAN, err = distant(o.Size, e.delay); err != nil {
			return nil, err
		}
		closeLAN = o.LAN.Close
	}
	c, err := cluster.New(o)
	if err != nil {
		return nil, errors.Join(err, closeLAN())
	}
	s := &system{
		stop: func() error { return errors.Join(c.Stop(stopGrace), closeLAN()) },
		at: func(ctx context.Context, role string) (string, error) {
			find := c.Leader
			if role == follower {
				return addrOf(c.Follower(ctx))
			}
			return addrOf(find(ctx))
		},
		counters: func(ctx context.Context) (map[string]float64, error) { return nexusCounters(ctx, c, counted) },
		caughtUp: func(ctx context.Context) error { return nexusCaughtUp(ctx, c) },
	}
	for _, n := range c.Nodes {
		s.processes = append(s.processes, process{report.Node, &n.Process}, process{report.Backend, n.BackendProcess()})
	}
	if err := c.StartReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func addrOf(n *cluster.Node, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return n.Addr(), nil
}

// distant is a network in which it is delay from one node to another. Clients are near each of them.
func distant(size int, delay time.Duration) (*lan.LAN, error) {
	var names []string
	for i := range size {
		names = append(names, fmt.Sprintf("node-%d", i+1))
	}
	l, err := lan.New(names...)
	if errors.Is(err, lan.ErrUnavailable) {
		return nil, unavailable{err}
	}
	if err != nil {
		return nil, err
	}
	for _, a := range names {
		for _, b := range names {
			if a != b {
				l.Set(a, b, func(r *lan.Rule) { r.Delay = delay })
			}
		}
	}
	return l, nil
}

// counted are metrics of nodes, by what the results call them.
var counted = map[string]string{
	"nexus_raft_fsync_seconds_count": "fsyncs",
	"nexus_backend_entries_total":    "entries applied",
	"nexus_backend_execs_total":      "backend transactions",
	"go_gc_duration_seconds_count":   "GC cycles",
	"nexus_raft_read_rounds_total":   "read rounds",
	"go_memstats_mallocs_total":      "allocations",
	"go_memstats_alloc_bytes_total":  "allocated bytes",
}

// nexusCounters adds up metrics of all nodes; as says which, and what they are called here.
func nexusCounters(ctx context.Context, c *cluster.Cluster, as map[string]string) (map[string]float64, error) {
	sum := make(map[string]float64)
	for _, n := range c.Nodes {
		if err := addMetrics(ctx, sum, n, as); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func addMetrics(ctx context.Context, sum map[string]float64, n *cluster.Node, as map[string]string) error {
	fail := func(err error) error { return fmt.Errorf("metrics of %s: %w", n.Name, err) }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.MetricsAddr()+"/metrics", nil)
	if err != nil {
		return fail(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if as[name] == "" {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fail(fmt.Errorf("%s: %w", name, err))
		}
		sum[as[name]] += v
	}
	if err := lines.Err(); err != nil {
		return fail(err)
	}
	return nil
}

// progress of a node in the log.
var progress = map[string]string{"nexus_raft_commit_index": "committed", "nexus_raft_applied_index": "applied"}

func nexusCaughtUp(ctx context.Context, c *cluster.Cluster) error {
	committed := 0.0 // by what the nodes know now
	applied := make([]float64, len(c.Nodes))
	look := func(i int) error {
		at := make(map[string]float64)
		err := addMetrics(ctx, at, c.Nodes[i], progress)
		applied[i] = at["applied"]
		committed = max(committed, at["committed"])
		return err
	}
	for i := range c.Nodes {
		if err := look(i); err != nil {
			return err
		}
	}
	goal := committed
	for i := range c.Nodes {
		for applied[i] < goal {
			if err := look(i); err != nil {
				return err
			}
		}
	}
	return nil
}
