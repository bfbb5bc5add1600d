package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// mysqlRow is one line of the report on MySQL.
type mysqlRow struct {
	name string
	load sysbench
	// Least ratios to one mariadbd, and to a Galera cluster; 0 for none.
	toDirect, toGalera float64
	// ceiling of the p50 in milliseconds; 0 for none.
	ceiling float64

	direct, galera, nexus []result
}

func mysqlRows(seconds int) []*mysqlRow {
	return []*mysqlRow{
		{name: "oltp_insert, 16 threads", load: sysbench{"oltp_insert", 16, seconds}, toGalera: 1},
		{name: "oltp_update_index, 16 threads", load: sysbench{"oltp_update_index", 16, seconds}, toGalera: 1},
		{name: "oltp_point_select, 16 threads", load: sysbench{"oltp_point_select", 16, seconds}, toDirect: 0.45},
		{name: "oltp_read_write, 16 threads", load: sysbench{"oltp_read_write", 16, seconds}, toGalera: 0.6},
		{name: "oltp_insert, 1 thread", load: sysbench{"oltp_insert", 1, seconds}, ceiling: 3},
	}
}

// mysqlOptions of a run.
type mysqlOptions struct {
	bin, node       string
	rounds, seconds int
	galera          bool
}

// runMySQL measures three nodes before three mariadbd, one mariadbd whose commits are durable, and a Galera cluster whose
// are too, in turns.
func runMySQL(ctx context.Context, o mysqlOptions) (err error) {
	if _, err := exec.LookPath("sysbench"); err != nil {
		return fmt.Errorf("install sysbench: %w", err)
	}
	if err := galeraMissing(); err != nil && o.galera {
		return err
	}
	binary, err := filepath.Abs(filepath.Join(o.bin, "mysql_repl"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "nexus-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()

	direct, err := startDirect(start, filepath.Join(dir, "direct"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, direct.Stop(20*time.Second)) }()
	ports := systems{direct: direct.Port}

	if o.galera {
		g, err := startGalera(start, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, g.stop()) }()
		ports.galera = g.nodes[0].Port
	}

	c, err := cluster.New(cluster.Options{Binary: binary, MySQL: true, Dir: filepath.Join(dir, "nexus"), Flags: []string{"-nexusLeaseBasedReads"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop(20*time.Second)) }()
	if err := c.StartReady(start); err != nil {
		return err
	}
	target, err := c.Leader(start)
	if err == nil && o.node == "follower" {
		target, err = c.Follower(start)
	}
	if err != nil {
		return err
	}
	ports.nexus = target.Ports.Client

	rows := mysqlRows(o.seconds)
	if err := ports.prepare(ctx); err != nil {
		return err
	}
	for round := range o.rounds {
		for _, r := range rows {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, r.name)
			if err := ports.measure(ctx, r); err != nil {
				return err
			}
		}
	}
	reportMySQL(rows, o)
	return nil
}

// startDirect starts a mariadbd whose commits are on disk when they are answered.
func startDirect(ctx context.Context, dir string) (*cluster.MariaDB, error) {
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	m, err := cluster.NewMariaDB("direct", dir, port)
	if err != nil {
		return nil, err
	}
	m.Args = append(m.Args, "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1")
	return m, m.StartReady(ctx)
}

// systems are the ports of what is compared; galera is 0 where it is left out.
type systems struct{ direct, galera, nexus int }

func (s systems) prepare(ctx context.Context) error {
	for _, port := range []int{s.direct, s.galera, s.nexus} {
		if port == 0 {
			continue
		}
		db, err := (&cluster.MariaDB{Port: port}).Client()
		if err != nil {
			return err
		}
		err = executeAll(ctx, db, "CREATE DATABASE "+sysbenchDatabase)
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		if _, err := (sysbench{test: "oltp_insert", threads: 1}).command(ctx, port, "prepare"); err != nil {
			return err
		}
	}
	return nil
}

func (s systems) measure(ctx context.Context, r *mysqlRow) error {
	for _, system := range []struct {
		name    string
		port    int
		results *[]result
	}{{"mariadbd", s.direct, &r.direct}, {"Galera", s.galera, &r.galera}, {"Nexus", s.nexus, &r.nexus}} {
		if system.port == 0 {
			continue
		}
		one, err := r.load.run(ctx, system.port)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", r.name, system.name, err)
		}
		*system.results = append(*system.results, one)
	}
	return nil
}

func reportMySQL(rows []*mysqlRow, o mysqlOptions) {
	fmt.Printf("\nThree nodes before three mariadbd, driven through the %s, on one machine with %d CPUs; medians of %d rounds of %d s.\n"+
		"Direct is one mariadbd, Galera a cluster of three; both with innodb_flush_log_at_trx_commit=1. Transactions a second.\n\n",
		o.node, runtime.NumCPU(), o.rounds, o.seconds)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "load\tdirect/s\tgalera/s\tnexus/s\tto direct\tto galera\ttarget\tp50 ms\tp99 ms\tdirect p50 ms\t\t")
	for _, r := range rows {
		rate, p50 := median(r.nexus, result.rate), median(r.nexus, result.medianLatency)
		toDirect := rate / median(r.direct, result.rate)
		galera, ratio, toGalera := "-", "-", 0.0
		if len(r.galera) > 0 {
			toGalera = rate / median(r.galera, result.rate)
			galera, ratio = fmt.Sprintf("%.0f", median(r.galera, result.rate)), fmt.Sprintf("%.0f %%", 100*toGalera)
		}
		target, verdict := "", ""
		switch {
		case r.toDirect > 0:
			target, verdict = fmt.Sprintf(">= %.0f %% of direct", 100*r.toDirect), judge(toDirect >= r.toDirect)
		case r.toGalera > 0 && toGalera > 0:
			target, verdict = fmt.Sprintf(">= %.0f %% of galera", 100*r.toGalera), judge(toGalera >= r.toGalera)
		case r.ceiling > 0:
			target, verdict = fmt.Sprintf("p50 < %.0f ms", r.ceiling), judge(p50 < r.ceiling)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%.0f\t%.0f %%\t%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t\n", r.name, median(r.direct, result.rate), galera, rate, 100*toDirect,
			ratio, target, p50, median(r.nexus, result.tailLatency), median(r.direct, result.medianLatency), verdict)
	}
	w.Flush()
}
