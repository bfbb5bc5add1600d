// Bench measures a cluster of three on this machine against the same redis-server driven directly, and prints the
// ratios beside the targets. Direct and replicated runs take turns, so that what else the machine does hurts both.
//
// It drives redis-benchmark over loopback with a bounded number of requests, and takes about two minutes. With -mysql it
// drives sysbench, and compares with a Galera cluster too: about five minutes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// row is one line of the report: one load, on one kind of cluster.
type row struct {
	name   string
	load   load
	reads  string  // "lease" or "quorum"
	target float64 // least ratio to direct, 0 for none
	// ceiling of the p50 in milliseconds; 0 for none.
	ceiling float64

	direct, nexus []result
}

func rows() []*row {
	return []*row{
		{name: "SET 50 clients P1", load: load{"set", 50, 1, 200_000, 60_000}, reads: "lease", target: 0.15},
		{name: "SET 50 clients P16", load: load{"set", 50, 16, 600_000, 200_000}, reads: "lease", target: 0.08},
		{name: "GET 50 clients P1, lease", load: load{"get", 50, 1, 200_000, 100_000}, reads: "lease", target: 0.45},
		{name: "GET 50 clients P16, lease", load: load{"get", 50, 16, 600_000, 300_000}, reads: "lease", target: 0.25},
		{name: "SET 1 client", load: load{"set", 1, 1, 20_000, 3_000}, reads: "lease", ceiling: 2},
		{name: "GET 50 clients P1, quorum", load: load{"get", 50, 1, 200_000, 100_000}, reads: "quorum"},
		{name: "GET 50 clients P16, quorum", load: load{"get", 50, 16, 600_000, 300_000}, reads: "quorum"},
	}
}

func main() {
	bin := flag.String("bin", "bin", "directory of the programs")
	mysql := flag.Bool("mysql", false, "measure MySQL instead of Redis")
	galera := flag.Bool("galera", true, "with -mysql: compare with a Galera cluster")
	seconds := flag.Int("seconds", 5, "with -mysql: how long each load runs")
	rounds := flag.Int("rounds", 3, "times each load runs; the median counts")
	node := flag.String("node", "leader", "the node that is driven: leader or follower")
	flag.Parse()
	if *rounds < 1 || *seconds < 1 || (*node != "leader" && *node != "follower") {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	measure := func() error { return run(ctx, *bin, *node, *rounds) }
	if *mysql {
		measure = func() error {
			return runMySQL(ctx, mysqlOptions{bin: *bin, node: *node, rounds: *rounds, seconds: *seconds, galera: *galera})
		}
	}
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, node string, rounds int) (err error) {
	binary, err := filepath.Abs(filepath.Join(bin, "redis_repl"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "nexus-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	port, err := cluster.FreePort()
	if err != nil {
		return err
	}
	direct, err := cluster.NewRedis("direct", filepath.Join(dir, "direct"), port)
	if err != nil {
		return err
	}
	if err := direct.StartReady(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, direct.Stop(10*time.Second)) }()

	all := rows()
	for _, reads := range []string{"lease", "quorum"} {
		var some []*row
		for _, r := range all {
			if r.reads == reads {
				some = append(some, r)
			}
		}
		o := cluster.Options{Binary: binary, Dir: filepath.Join(dir, reads)}
		if reads == "lease" {
			o.Flags = []string{"-nexusLeaseBasedReads"}
		}
		if err := measure(ctx, o, node, direct, some, rounds); err != nil {
			return err
		}
	}
	report(all, node, rounds)
	return nil
}

// measure runs the loads on a cluster of its own and on direct, in turns.
func measure(ctx context.Context, o cluster.Options, node string, direct *cluster.Redis, some []*row, rounds int) (err error) {
	c, err := cluster.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop(20*time.Second)) }()
	start, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := c.StartReady(start); err != nil {
		return err
	}
	target, err := c.Leader(start)
	if err == nil && node == "follower" {
		target, err = c.Follower(start)
	}
	if err != nil {
		return err
	}
	for round := range rounds {
		for _, r := range some {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, r.name)
			d, err := r.load.run(ctx, direct.Port, r.load.direct)
			if err != nil {
				return fmt.Errorf("%s, direct: %w", r.name, err)
			}
			n, err := r.load.run(ctx, target.Ports.Client, r.load.nexus)
			if err != nil {
				return fmt.Errorf("%s, through %s: %w", r.name, target.Name, err)
			}
			r.direct, r.nexus = append(r.direct, d), append(r.nexus, n)
		}
	}
	return nil
}

func report(all []*row, node string, rounds int) {
	fmt.Printf("\nThree nodes, driven through the %s, on one machine with %d CPUs; medians of %d rounds.\n\n",
		node, runtime.NumCPU(), rounds)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "load\tdirect/s\tnexus/s\tratio\ttarget\tp50 ms\tp99 ms\tdirect p50 ms\t\t")
	for _, r := range all {
		rate, directRate := median(r.nexus, result.rate), median(r.direct, result.rate)
		p50 := median(r.nexus, result.medianLatency)
		ratio := rate / directRate
		target, verdict := "", ""
		switch {
		case r.target > 0:
			target, verdict = fmt.Sprintf(">= %.0f %%", 100*r.target), judge(ratio >= r.target)
		case r.ceiling > 0:
			target, verdict = fmt.Sprintf("p50 < %.0f ms", r.ceiling), judge(p50 < r.ceiling)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.1f %%\t%s\t%.3f\t%.3f\t%.3f\t%s\t\n", r.name, directRate, rate, 100*ratio, target,
			p50, median(r.nexus, result.tailLatency), median(r.direct, result.medianLatency), verdict)
	}
	w.Flush()
}

func judge(ok bool) string {
	if ok {
		return "reached"
	}
	return "MISSED"
}

func median(results []result, value func(result) float64) float64 {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = value(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
