package redissuite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// measured are the units that the project's measure is about, in the order of the suite.
var measured = []string{
	"unit/dump", "unit/protocol", "unit/keyspace", "unit/scan", "unit/type/string", "unit/type/incr", "unit/type/list", "unit/type/list-2",
	"unit/type/list-3", "unit/type/set", "unit/type/zset", "unit/type/hash", "unit/type/stream", "unit/type/stream-cgroups", "unit/sort",
	"unit/expire", "unit/multi", "unit/pubsub", "unit/scripting", "unit/functions", "unit/bitops", "unit/bitfield", "unit/geo", "unit/hyperloglog",
}

// others are the rest of the suite, but for those that run on servers of their own only.
var others = []string{
	"unit/printver", "unit/auth", "unit/info", "unit/info-command", "unit/other", "unit/quit", "unit/aofrw", "unit/acl", "unit/acl-v2",
	"unit/latency-monitor", "unit/pubsubshard", "unit/slowlog", "unit/maxmemory", "unit/introspection", "unit/introspection-2", "unit/limits",
	"unit/obuf-limits", "unit/memefficiency", "unit/lazyfree", "unit/wait", "unit/pause", "unit/querybuf", "unit/pendingquerybuf", "unit/tracking",
	"unit/oom-score-adj", "unit/shutdown", "unit/networking", "unit/cluster", "unit/client-eviction", "unit/violations", "unit/replybufsize",
	"unit/cluster-scripting", "unit/cluster/announced-endpoints", "unit/cluster/misc", "unit/cluster/links",
}

// sample is what every run does.
var sample = []string{"unit/type/incr", "unit/bitfield", "unit/quit"}

// TestSuite fails where a case that passes on a plain server does not through a node, unless it is expected, where a unit
// leaves the cluster out of service, or where the replicas differ in the end.
func TestSuite(t *testing.T) {
	needSuite(t)
	file := goldenOf[*follower]
	expected := readGolden(t, file)
	s, l := newSuite(t), newLab(t)
	updated, report := expected, golden(nil)
	for _, unit := range chosen() {
		got := l.unit(t, s, unit, expected.of(unit))
		report = append(report, got...)
		updated = updated.update(unit, got)
		if *update {
			updated.write(t, file)
		}
		if *tags != standardTags || !*durable {
			continue // nothing is known of these
		}
		for _, e := range expected.of(unit).worse(got) {
			if !*update {
				t.Errorf("not expected: %s. If it is, run it with -update", e)
			}
		}
	}
	for _, e := range report {
		t.Log(e)
	}
	said, err := l.verify(clustertest.Within(t, 3*time.Minute))
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	t.Logf("verify: %s", said)
	if *update {
		writeDocs(t)
	}
}

// chosen are the units to be run.
func chosen() []string {
	switch {
	case *only != "":
		return strings.Split(*only, ",")
	case *all:
		return slices.Concat(measured, others)
	}
	return sample
}

// unit runs a unit on both, and compares.
func (l *lab) unit(t *testing.T, s *suite, unit string, expected golden) golden {
	t.Helper()
	l.choose(t)
	ctx := clustertest.Within(t, 3**patience)
	var results [2]printed
	var left [2][]string
	begin := time.Now()
	for i, to := range []struct {
		name     string
		port     int
		settings func() (map[string]string, error)
		skip     []string
	}{
		{"plain", l.alone.Port, func() (map[string]string, error) { return settings(ctx, l.alone.Client(0)) }, nil},
		{"node", l.node.Ports.Client, func() (map[string]string, error) { return settings(ctx, l.node.Client(0)) }, expected.skips()},
	} {
		were, err := to.settings()
		check(t, err)
		results[i] = s.complete(ctx, t, unit, to.name, to.port, to.skip)
		if i == 1 {
			if err := l.serves(clustertest.Within(t, 2*time.Minute)); err != nil {
				t.Fatalf("%s leaves the cluster out of service: %v", unit, err)
			}
		}
		are, err := to.settings()
		check(t, err)
		left[i] = changed(were, are)
	}
	got := judge(unit, results[0], results[1], slices.DeleteFunc(left[1], func(name string) bool { return slices.Contains(left[0], name) }))
	if *all || *only != "" {
		fmt.Printf("%s %s after %v: plain %s, node %s\n", time.Now().UTC().Format(time.TimeOnly), got[0], time.Since(begin).Round(time.Second), end(results[0]), end(results[1]))
	}
	return got
}

// mostHung bounds how often a unit is run again.
const mostHung = 3

// complete runs a unit, and again without a case that waits for ever, so that the others are seen.
func (s *suite) complete(ctx context.Context, t *testing.T, unit, name string, port int, skip []string) printed {
	t.Helper()
	var hung []failure
	for {
		out, err := s.run(ctx, unit, port, skip)
		check(t, err)
		keepOutput(t, unit, name, out)
		p := parse(out)
		if p.stopped != stoppedSilent || p.at == "" || len(hung) == mostHung {
			p.failed = append(p.failed, hung...)
			return p
		}
		hung = append(hung, failure{p.at, "waits for ever"})
		skip = append(slices.Clone(skip), p.at)
	}
}

func end(p printed) string {
	if p.stopped == "" {
		return "ended"
	}
	return fmt.Sprintf("stopped at %q: %s", p.at, p.stopped)
}

// keepOutput keeps what the suite printed, where that is asked for.
func keepOutput(t *testing.T, unit, name, out string) {
	t.Helper()
	if *keep == "" {
		return
	}
	check(t, os.MkdirAll(*keep, 0o755))
	check(t, os.WriteFile(filepath.Join(*keep, strings.ReplaceAll(unit, "/", "-")+"."+name), []byte(out), 0o644))
}
