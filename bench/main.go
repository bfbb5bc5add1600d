// Bench measures Nexus beside what it is compared with: the backend alone, etcd, Galera, semi-synchronous replication. It
// starts everything itself on this machine, lets the systems take turns in short slices, and prints a table of rates,
// latencies, and what each operation cost: CPU time by kind of process, bytes on the network and on disk. The results go
// to a directory as JSON and as a chart.
//
// As root on Linux all runs in a network namespace of its own, where what goes over loopback can be counted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/nexus-replication/nexus/bench/report"
)

type options struct {
	selection
	runner
	out     string
	list    bool
	targets bool
	profile string
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if !o.list && !o.targets {
		if status, done := ownNetwork(); done {
			os.Exit(status)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (*options, error) {
	o := &options{runner: runner{log: os.Stderr, version: firstLine("git", "describe", "--always", "--dirty")}}
	f := flag.NewFlagSet("bench", flag.ExitOnError)
	f.StringVar(&o.bin, "bin", "bin", "directory of the programs")
	f.StringVar(&o.against, "against", "", "directory of the programs of another version, whose nodes take turns with those of -bin")
	f.StringVar(&o.out, "out", filepath.Join("bench", "results"), "directory for the results")
	f.BoolVar(&o.full, "full", false, "run everything, which takes half an hour, instead of a selection")
	f.BoolVar(&o.mysql, "mysql", false, "without -full: measure MySQL instead of Redis")
	only := f.String("only", "", "run what matches this regular expression as GROUP/CASE/SYSTEM; -list shows all")
	f.BoolVar(&o.list, "list", false, "list what there is, and run nothing")
	f.BoolVar(&o.targets, "targets", false, "compare the results in the directory with the aims, and run nothing")
	f.StringVar(&o.profile, "profile", "", "instead: say where the nodes' CPU time goes in the one case and system that -only leaves, with perf; the value is a file for the stacks")
	f.DurationVar(&o.slice, "slice", 2*time.Second, "how long a system is driven at a time")
	f.IntVar(&o.rounds, "rounds", 3, "slices of each system in each case; the median counts")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("what is %q? There are only flags, see -h", f.Arg(0))
	}
	if o.rounds < 1 || o.slice <= 0 || o.slice > 10*time.Minute {
		return nil, fmt.Errorf("-rounds %d, -slice %v: want at least one round, and slices of up to 10m", o.rounds, o.slice)
	}
	if *only != "" {
		var err error
		if o.only, err = regexp.Compile(*only); err != nil {
			return nil, fmt.Errorf("-only: %w", err)
		}
	}
	return o, nil
}

func (o *options) do(ctx context.Context) error {
	if o.targets {
		return report.PrintTargets(os.Stdout, o.out)
	}
	var chosen []group
	for _, g := range plan() {
		if g = o.choose(g); len(g.cases) > 0 {
			if o.against != "" {
				g.addOthers()
			}
			chosen = append(chosen, g)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("nothing matches -only %s: -list shows all", o.only)
	}
	if o.list {
		return list(chosen)
	}
	var err error
	if o.network, err = hasOwnNetwork(); err != nil {
		return err
	}
	if o.profile != "" {
		return o.profileOne(ctx, chosen)
	}
	for _, g := range chosen {
		if err := o.group(ctx, g); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

// group runs one, prints what came of it and keeps it. Only a full one takes the place of full ones.
func (o *options) group(ctx context.Context, g group) error {
	network := o.network
	o.network = network && !g.apart // those do not talk over loopback
	defer func() { o.network = network }()
	result, err := o.run(ctx, g)
	if err != nil {
		return err
	}
	fmt.Println()
	if err := result.Print(os.Stdout); err != nil {
		return err
	}
	name := g.name
	if !o.full {
		name = "quick-" + name
	}
	if err := result.Write(o.out, name); err != nil {
		return err
	}
	fmt.Printf("\nKept in %s.json and .svg.\n", filepath.Join(o.out, name))
	return nil
}

func list(groups []group) error {
	for _, g := range groups {
		for _, c := range g.cases {
			for _, e := range c.systems {
				if _, err := fmt.Printf("%s/%s/%s\n", g.name, c.name, e.name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
