package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/bench/report"
)

// TestSmoke runs a case on a redis-server, from the start to the files that are left.
func TestSmoke(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server here")
	}
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("this system has no /proc as Linux has")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := selection{only: regexp.MustCompile("^redis/(SET|GET) 50 clients P16 32 B/redis$")}
	g := s.choose(redisGroup())
	r := &runner{slice: 20 * time.Millisecond, rounds: 2, log: io.Discard}
	result, err := r.run(ctx, g)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Cases) != 2 {
		t.Fatalf("%d cases", len(result.Cases))
	}
	for _, c := range result.Cases {
		if len(c.Systems) != 1 || len(c.Systems[0].Samples) != 2 {
			t.Fatalf("%s: %+v", c.Name, c.Systems)
		}
		if u := c.Systems[0].Summary; u.Rate == 0 || u.P50 == 0 || u.Errors != 0 || u.CPU[report.Load] == 0 || u.Memory == 0 {
			t.Errorf("%s: %+v", c.Name, u)
		}
	}
	dir := t.TempDir()
	if err := result.Write(dir, "smoke"); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Read(filepath.Join(dir, "smoke.json")); err != nil {
		t.Error(err)
	}
}

func TestPlan(t *testing.T) {
	names := make(map[string]bool)
	for _, g := range plan() {
		for _, c := range g.cases {
			for _, e := range c.systems {
				name := g.name + "/" + c.name + "/" + e.name
				if names[name] {
					t.Errorf("%s is there twice", name)
				}
				names[name] = true
				if starters[e.system] == nil {
					t.Errorf("%s: nobody knows how to start %s", name, e.system)
				}
			}
			if l, ok := c.load.(kv); ok {
				if err := l.Validate(); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			}
		}
	}
	for _, pair := range report.TargetNames() {
		if !names[pair] {
			t.Errorf("a target for %s, which is not measured", pair)
		}
	}
}

func TestChoose(t *testing.T) {
	count := func(s selection) (groups, cases int, systems string) {
		seen := make(map[string]bool)
		for _, g := range plan() {
			if g = s.choose(g); len(g.cases) > 0 {
				groups++
			}
			cases += len(g.cases)
			for _, c := range g.cases {
				for _, e := range c.systems {
					seen[e.name] = true
				}
			}
		}
		for _, name := range []string{"redis", "nexus 3", "galera 3", "etcd 3"} {
			if seen[name] {
				systems += name + " "
			}
		}
		return groups, cases, systems
	}
	for _, c := range []struct {
		selection
		groups, cases int
		systems       string
	}{
		{selection{}, 1, 5, "redis "},
		{selection{mysql: true}, 2, 5, "nexus 3 galera 3 "},
		{selection{only: regexp.MustCompile("etcd/GET .*/etcd")}, 1, 3, "etcd 3 "},
		{selection{only: regexp.MustCompile("nothing like it")}, 0, 0, ""},
	} {
		if groups, cases, systems := count(c.selection); groups != c.groups || cases != c.cases || systems != c.systems {
			t.Errorf("%+v chooses %d groups, %d cases, systems %q; want %d, %d, %q", c.selection, groups, cases, systems, c.groups, c.cases, c.systems)
		}
	}
	for _, g := range plan() {
		if got := (selection{full: true}).choose(g); len(got.cases) != len(g.cases) && !g.extra {
			t.Errorf("-full leaves out cases of %s", g.name)
		}
	}
}

func TestAddOthers(t *testing.T) {
	g := group{cases: []benchCase{{systems: []entrant{redis, leaseFollower}}}}
	g.addOthers()
	want := []entrant{redis, leaseFollower,
		{name: "nexus 3, lease, follower, other", system: "nexus-3-lease of the other version", role: follower}}
	if got := g.cases[0].systems; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Each version is started with its own programs, which are not there.
func TestStartOtherVersion(t *testing.T) {
	r := &runner{bin: "this", against: "that"}
	for name, program := range map[string]string{"nexus-3-lease": "/this/redis_repl", "nexus-3-lease" + ofOther: "/that/redis_repl"} {
		_, err := r.startSystem(t.Context(), &env{bin: r.bin, dir: t.TempDir()}, name)
		if err == nil || !strings.Contains(err.Error(), program) {
			t.Errorf("%s: %v, want %s to be missing", name, err, program)
		}
	}
}

func TestOptions(t *testing.T) {
	if _, err := parseOptions([]string{"-only", "redis/.*", "-slice", "100ms"}); err != nil {
		t.Error(err)
	}
	for args, want := range map[string]string{
		"-only (": "-only: ", "-rounds 0": "-rounds 0", "-slice 0s": "-slice 0s", "redis": `what is "redis"?`,
	} {
		if _, err := parseOptions(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseOptions(%s) = %v, want %s", args, err, want)
		}
	}
}

func TestFill(t *testing.T) {
	var s report.Sample
	s.CPU, s.Disk, s.Memory = make(map[string]float64), make(map[string]uint64), make(map[string]uint64)
	begin := time.Unix(0, 0)
	before := state{at: begin, counters: map[string]float64{"fsyncs": 5}}
	after := state{at: begin.Add(time.Second), self: 100 * time.Millisecond, machine: time.Hour, counters: map[string]float64{"fsyncs": 7}}
	fill(&s, before, after, 50*time.Millisecond)
	if s.CPU[report.Load] != 0.15 || s.Counters["fsyncs"] != 2 || s.Others <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestParseSysbench(t *testing.T) {
	const out = `
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       1.011 |**                                       2
       1.027 |****************************             96
       9.250 |                                         2

    transactions:                        100    (2500.00 per sec.)
    ignored errors:                      3      (75.00 per sec.)
`
	got, err := parseSysbench(out)
	if err != nil {
		t.Fatal(err)
	}
	near := func(d time.Duration, ms float64) bool {
		return d.Seconds()*1e3 > 0.98*ms && d.Seconds()*1e3 < 1.02*ms
	}
	if got.Ops != 100 || got.Elapsed != 40*time.Millisecond || got.Errors != 3 ||
		!near(got.Latency.Quantile(0.5), 1.027) || !near(got.Latency.Quantile(0.99), 9.25) {
		t.Errorf("%d transactions in %v, %d errors, p50 %v, p99 %v", got.Ops, got.Elapsed, got.Errors, got.Latency.Quantile(0.5), got.Latency.Quantile(0.99))
	}
	for _, bad := range []string{"", "FATAL: no", "transactions: 100 (1.0 per sec.)", strings.Replace(out, "2500.00", "0.00", 1)} {
		if _, err := parseSysbench(bad); err == nil {
			t.Errorf("parseSysbench(%q) = nil error", bad)
		}
	}
}

func TestPerfCounts(t *testing.T) {
	got := perfCounts("# started on x\n\n1200;;raw_syscalls:sys_enter;1000;100.00;;\n<not counted>;;context-switches;0;100.00;;\n")
	if len(got) != 1 || got["raw_syscalls:sys_enter"] != 1200 {
		t.Errorf("%v", got)
	}
}
