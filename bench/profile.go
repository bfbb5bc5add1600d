package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/bench/profile"
	"github.com/nexus-replication/nexus/bench/report"
)

// profileOne drives the one system in the one case that was chosen, while perf samples the stacks of the nodes.
func (o *options) profileOne(ctx context.Context, chosen []group) (err error) {
	if len(chosen) != 1 || len(chosen[0].cases) != 1 || len(chosen[0].cases[0].systems) != 1 {
		return errors.New("-profile takes one case and one system: choose them with -only")
	}
	if _, err := exec.LookPath("perf"); err != nil {
		return fmt.Errorf("-profile needs perf, Debian's linux-perf: %w", err)
	}
	g := chosen[0]
	c := g.cases[0]
	dir, err := os.MkdirTemp("", "nexus-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e := &env{bin: o.bin, dir: dir, apart: g.apart, delay: g.delay}
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	s, err := starters[c.systems[0].system](limit, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	running := &started{system: s}
	if _, _, err := o.sample(ctx, e, c.load, running, c.systems[0].role, time.Second); err != nil {
		return err
	}
	return o.profileRunning(ctx, e, c, running, dir)
}

func (o *options) profileRunning(ctx context.Context, e *env, c benchCase, s *started, dir string) error {
	first, err := s.leaderPid(ctx)
	if err != nil {
		return err
	}
	drive := func() (report.Sample, error) {
		sample, _, err := o.sample(ctx, e, c.load, s, c.systems[0].role, o.slice)
		return sample, err
	}
	data := filepath.Join(dir, "perf.data")
	var sample report.Sample
	_, err = during(ctx, func() (err error) {
		sample, err = drive()
		return err
	}, "perf", "record", "-q", "-F", "997", "-g", "-p", s.pids(report.Node), "-o", data)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "perf", "script", "-i", data, "-F", "pid,tid,ip,sym").Output()
	if err != nil {
		return fmt.Errorf("perf script: %w", err)
	}
	all, err := profile.Parse(bytes.NewReader(out))
	if err != nil {
		return err
	}
	if err := o.keepStacks(all); err != nil {
		return err
	}
	if err := printProfile(c, all, first, sample); err != nil {
		return err
	}
	return printCalls(ctx, s, drive)
}

// pids of the processes of a kind, with commas between.
func (s *system) pids(kind string) string {
	var all []string
	for _, p := range s.processes {
		if p.kind == kind {
			all = append(all, strconv.Itoa(p.Pid()))
		}
	}
	return strings.Join(all, ",")
}

func (s *system) leaderPid(ctx context.Context) (int, error) {
	addr, err := s.at(ctx, leader)
	if err != nil {
		return 0, err
	}
	_, port, _ := strings.Cut(addr, ":")
	for _, p := range s.processes {
		if p.kind == report.Node && strings.Contains(strings.Join(p.Args, " "), "-proxyPort "+port+" ") {
			return p.Pid(), nil
		}
	}
	return 0, errors.New("-profile is about nodes of Nexus")
}

// during runs a program that watches processes until an interrupt, while f runs, and returns what it wrote.
func during(ctx context.Context, f func() error, program string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	err := errors.Join(f(), cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait() // it ends by that signal
	return out.String(), err
}

func (o *options) keepStacks(all []profile.Sample) (err error) {
	f, err := os.Create(o.profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return profile.Fold(f, all)
}

// printProfile shows what the leader and the others took for each operation.
func printProfile(c benchCase, all []profile.Sample, first int, sample report.Sample) error {
	leads := 0
	for i := range all {
		if all[i].Pid == first {
			leads++
		}
	}
	ops := float64(max(sample.Ops, 1))
	perOp := sample.CPU[report.Node] * 1e6 / ops
	part := float64(leads) / float64(max(len(all), 1))
	fmt.Printf("%s, %s: %.0f ops/s; for each %.1f µs of all nodes, %.1f allocations of %.0f bytes together. %d samples.\n", c.name, c.systems[0].name,
		ops/sample.Seconds, perOp, sample.Counters["allocations"]/ops, sample.Counters["allocated bytes"]/ops, len(all))
	for _, of := range []struct {
		name  string
		part  float64
		shown func(pid int) bool
	}{
		{"leader", part, func(pid int) bool { return pid == first }},
		{"others", 1 - part, func(pid int) bool { return pid != first }},
	} {
		rows := [][]string{{of.name, "µs/op", "share", "of it in the kernel"}}
		for _, s := range profile.Shares(all, of.shown) {
			rows = append(rows, []string{s.Stage, fmt.Sprintf("%.2f", perOp*of.part*s.Part), fmt.Sprintf("%.1f %%", 100*s.Part), fmt.Sprintf("%.0f %%", 100*s.Kernel/s.Part)})
		}
		rows = append(rows, []string{"all", fmt.Sprintf("%.2f", perOp*of.part), "", ""})
		fmt.Println()
		if err := report.Table(os.Stdout, rows, 1); err != nil {
			return err
		}
	}
	return nil
}

// calls are what perf counts, by what the table calls them.
var calls = []struct{ event, name string }{
	{"raw_syscalls:sys_enter", "system calls"}, {"syscalls:sys_enter_read", "read"}, {"syscalls:sys_enter_write", "write"},
	{"syscalls:sys_enter_writev", "writev"}, {"syscalls:sys_enter_epoll_pwait", "epoll_pwait"}, {"syscalls:sys_enter_epoll_wait", "epoll_wait"},
	{"syscalls:sys_enter_futex", "futex"}, {"syscalls:sys_enter_nanosleep", "nanosleep"}, {"syscalls:sys_enter_recvfrom", "recvfrom"},
	{"syscalls:sys_enter_sendto", "sendto"}, {"syscalls:sys_enter_poll", "poll"}, {"syscalls:sys_enter_fdatasync", "fdatasync"}, {"context-switches", "context switches"},
}

// printCalls shows how many system calls each operation takes, of the nodes and of the backends, in a slice each.
func printCalls(ctx context.Context, s *started, drive func() (report.Sample, error)) error {
	args := []string{"stat", "-x", ";"}
	for _, c := range calls {
		args = append(args, "-e", c.event)
	}
	rows := [][]string{{"for each operation", "nodes", "backends"}}
	for _, c := range calls {
		rows = append(rows, []string{c.name})
	}
	for _, kind := range []string{report.Node, report.Backend} {
		var sample report.Sample
		out, err := during(ctx, func() (err error) {
			sample, err = drive()
			return err
		}, "perf", append(args, "-p", s.pids(kind))...)
		if err != nil {
			return err
		}
		counts := perfCounts(out)
		for i, c := range calls {
			rows[i+1] = append(rows[i+1], fmt.Sprintf("%.3f", counts[c.event]/float64(max(sample.Ops, 1))))
		}
	}
	fmt.Println()
	return report.Table(os.Stdout, rows, 1)
}

// perfCounts reads what perf stat -x ';' prints.
func perfCounts(out string) map[string]float64 {
	counts := make(map[string]float64)
	for line := range strings.Lines(out) {
		fields := strings.Split(line, ";")
		if len(fields) < 3 {
			continue
		}
		if n, err := strconv.ParseFloat(fields[0], 64); err == nil {
			counts[fields[2]] = n
		}
	}
	return counts
}
