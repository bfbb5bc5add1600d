package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nexus-replication/nexus/bench/measure"
	"github.com/nexus-replication/nexus/bench/report"
)

// runner runs groups, one after the other.
type runner struct {
	bin     string
	against string // directory of the programs of another version, or nothing
	slice   time.Duration
	rounds  int
	version string // of the tree at the start: results are written into it
	network bool   // this process has a network of its own, whose bytes are all of the benchmark's
	log     io.Writer
}

// started is a running system, and what was put into it.
type started struct {
	*system
	contents string
}

// run runs what is left of a group after the choice, and returns what came of it.
func (r *runner) run(ctx context.Context, g group) (result *report.Run, err error) {
	dir, err := os.MkdirTemp("", "nexus-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e := &env{bin: r.bin, dir: dir, apart: g.apart, delay: g.delay}
	result = &report.Run{Group: g.name, About: g.about}
	if result.Machine, err = r.machine(dir); err != nil {
		return nil, err
	}
	systems := make(map[string]*started)
	defer func() {
		for name, s := range systems {
			if stop := s.stop(); stop != nil {
				err = errors.Join(err, fmt.Errorf("stop %s: %w", name, stop))
			}
		}
	}()
	if err := r.start(ctx, e, &g, systems); err != nil {
		return nil, err
	}
	for _, c := range g.cases {
		measured, err := r.measure(ctx, e, c, systems)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		result.Cases = append(result.Cases, measured)
	}
	return result, nil
}

// start starts the systems that the cases need, and takes those out of the cases that are not to be had here.
func (r *runner) start(ctx context.Context, e *env, g *group, systems map[string]*started) error {
	missing := make(map[string]bool)
	for i := range g.cases {
		c := &g.cases[i]
		var there []entrant
		for _, en := range c.systems {
			if systems[en.system] == nil && !missing[en.system] {
				fmt.Fprintf(r.log, "%s: start %s\n", g.name, en.system)
				limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
				s, err := r.startSystem(limit, e, en.system)
				cancel()
				var none unavailable
				switch {
				case errors.As(err, &none):
					fmt.Fprintf(r.log, "%s: SKIPPED %s: %v\n", g.name, en.system, err)
					missing[en.system] = true
				case err != nil:
					return fmt.Errorf("start %s: %w", en.system, err)
				default:
					systems[en.system] = &started{system: s}
				}
			}
			if !missing[en.system] {
				there = append(there, en)
			}
		}
		c.systems = there
	}
	return nil
}

// measure runs a case: first a shorter slice on each system that does not count, then the slices in turns, so that what
// else the machine does hurts all.
func (r *runner) measure(ctx context.Context, e *env, c benchCase, systems map[string]*started) (*report.Case, error) {
	result := &report.Case{Name: c.name}
	for _, en := range c.systems {
		result.Systems = append(result.Systems, &report.System{Name: en.name})
	}
	for round := range r.rounds + 1 {
		fmt.Fprintf(r.log, "%s, round %d of %d\n", c.name, round, r.rounds)
		for i, en := range c.systems {
			s := systems[en.system]
			d := r.slice
			if round == 0 {
				d = min(d, time.Second)
			}
			sample, latency, err := r.sample(ctx, e, c.load, s, en.role, d)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", en.name, err)
			}
			if round > 0 {
				result.Systems[i].Add(sample, latency)
			}
		}
	}
	result.Summarize()
	return result, nil
}

// state is what has been used up to a moment.
type state struct {
	counters      map[string]float64
	system        map[string]measure.Usage
	self, machine time.Duration
	network       uint64
	at            time.Time
}

// sample drives a system for d.
func (r *runner) sample(ctx context.Context, e *env, l workload, s *started, role string, d time.Duration) (report.Sample, *measure.Histogram, error) {
	fail := func(err error) (report.Sample, *measure.Histogram, error) { return report.Sample{}, nil, err }
	limit, cancel := context.WithTimeout(ctx, d+2*time.Minute)
	defer cancel()
	addr, err := s.at(limit, role)
	if err != nil {
		return fail(err)
	}
	if s.contents != l.contents() {
		if err := l.fill(limit, e, s.system, addr); err != nil {
			return fail(err)
		}
		s.contents = l.contents()
	}
	before, err := r.look(limit, s, true)
	if err != nil {
		return fail(err)
	}
	result, child, err := l.run(limit, e, s.system, addr, d)
	if err != nil {
		return fail(err)
	}
	// What others have yet to apply is a part of what the load costs, and must not fall into the next one's time.
	var behind time.Duration
	if ended := time.Now(); s.caughtUp != nil {
		if err := s.caughtUp(limit); err != nil {
			return fail(err)
		}
		behind = time.Since(ended)
	}
	after, err := r.look(limit, s, false)
	if err != nil {
		return fail(err)
	}
	sample := report.Sample{Behind: behind.Seconds(), Ops: result.Ops, Errors: result.Errors, Error: result.First, Seconds: result.Elapsed.Seconds(),
		CPU: make(map[string]float64), Memory: make(map[string]uint64), Disk: make(map[string]uint64)}
	fill(&sample, before, after, child)
	if r.network {
		sample.Network = after.network - before.network
	}
	return sample, &result.Latency, nil
}

// look takes the counters of nodes, which is work for them, where that does not count as the load's.
func (r *runner) look(ctx context.Context, s *started, first bool) (st state, err error) {
	count := func() {
		if s.counters != nil && err == nil {
			st.counters, err = s.counters(ctx)
		}
	}
	if first {
		count()
	}
	if err != nil {
		return st, err
	}
	if st.system, err = s.used(); err != nil {
		return st, err
	}
	if st.self, err = measure.Self(); err != nil {
		return st, err
	}
	if st.machine, err = measure.Machine(); err != nil {
		return st, err
	}
	if st.network, err = measure.Loopback(); err != nil {
		return st, err
	}
	st.at = time.Now()
	if !first {
		count()
	}
	return st, err
}
