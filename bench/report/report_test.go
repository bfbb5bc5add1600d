package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/bench/measure"
)

// example has two systems: 100, 300 and 200 operations a second of 1 ms, and half of that.
func example() *Run {
	c := &Case{Name: "SET <32 B>", Systems: []*System{{Name: "redis & co"}, {Name: "nexus"}}}
	for i, s := range c.Systems {
		for _, ops := range []uint64{200, 600, 400} {
			ops /= uint64(i + 1)
			var h measure.Histogram
			h.Add(time.Millisecond, ops)
			s.Add(Sample{Ops: ops, Seconds: 2, Network: 100 * ops, Disk: map[string]uint64{Node: 10 * ops, Backend: 5 * ops},
				CPU: map[string]float64{Node: float64(ops) * 1e-6, Load: float64(ops) * 2e-6}, Memory: map[string]uint64{Node: 5e6, Backend: 1e6},
				Counters: map[string]float64{"fsyncs": float64(ops) / 4}, Others: 0.25}, &h)
		}
	}
	c.Summarize()
	return &Run{Group: "example", About: "Made up.", Machine: Machine{CPUs: 2, Rounds: 3, Slice: 2, Network: true}, Cases: []*Case{c}}
}

func TestSummarize(t *testing.T) {
	r := example()
	first, second := r.Find("SET <32 B>", "redis & co").Summary, r.Find("SET <32 B>", "nexus").Summary
	if first.Rate != 200 || first.Least != 100 || first.Most != 300 || first.Ratio != 0 {
		t.Errorf("%+v", first)
	}
	if second.Rate != 100 || second.Ratio != 0.5 {
		t.Errorf("%+v", second)
	}
	if math.Abs(first.P50-1) > 0.02 || first.Network != 100 || first.Disk != 15 || first.Memory != 6 || first.Others != 0.25 {
		t.Errorf("%+v", first)
	}
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-9 }
	if !near(first.CPU[Node], 1) || !near(first.CPU[Load], 2) || !near(first.CPU[All], 3) || !near(first.Counters["fsyncs"], 0.25) {
		t.Errorf("%+v", first)
	}
	empty := &Case{Systems: []*System{{}, {}}}
	empty.Summarize()
	if got := empty.Systems[1].Summary; got.Ratio != 0 || got.Rate != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	if got := median([]float64{1, 2, 4, 9}); got != 3 {
		t.Errorf("median = %v", got)
	}
}

func TestWriteAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	want := example()
	if err := want.Write(dir, "example"); err != nil {
		t.Fatal(err)
	}
	got, err := Read(filepath.Join(dir, "example.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range want.Cases {
		for _, s := range c.Systems {
			s.latency = measure.Histogram{} // only its percentiles are kept
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := Read(filepath.Join(dir, "none.json")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestChart(t *testing.T) {
	r := example()
	r.Cases = append(r.Cases, &Case{Name: "empty", Systems: []*System{{Name: "none"}}})
	svg := string(r.chart())
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	for _, want := range []string{`width="280"`, `width="140"`, "200/s, 3.0 µs<", "100/s, 3.0 µs, 50 %", "SET &lt;32 B&gt;", "redis &amp; co"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in\n%s", want, svg)
		}
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := example().Print(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[0], "example: Made up. 2 CPUs") {
		t.Fatalf("%d lines:\n%s", len(lines), b.String())
	}
	for _, want := range []string{"| nexus", " 100 |", " 50.0 % |", " 1.00 |", " 3.0 |", " 15 |", "0.250", "25 %"} {
		if !strings.Contains(lines[5], want) {
			t.Errorf("no %q in %s", want, lines[5])
		}
	}
	for _, line := range lines[3:] {
		if len([]rune(line)) != len([]rune(lines[2])) {
			t.Errorf("not aligned: %s", line)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(v); got != want {
			t.Errorf("thousands(%v) = %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.1234: "0.123", 1.2345: "1.23", 12.345: "12.3", 123.45: "123", 1234.5: "1234"} {
		if got := milliseconds(v); got != want {
			t.Errorf("milliseconds(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	r := example()
	r.Machine.Fdatasync = 0.1
	const name = "SET <32 B>"
	for _, c := range []struct {
		target
		want string
	}{
		{target{name: name, system: "nexus", of: "redis & co", least: 0.5}, "reached"},
		{target{name: name, system: "nexus", of: "redis & co", least: 0.6}, "MISSED"},
		{target{name: name, system: "nexus", of: "nexus", ofName: name, least: 1}, "reached"},
		{target{name: name, system: "nexus", syncs: 3, ms: 1}, "reached"},
		{target{name: name, system: "nexus", syncs: 3, ms: 0.5}, "MISSED"},
		{target{name: name, system: "nexus", of: "etcd", least: 1}, "not measured"},
		{target{name: "GET", system: "nexus", syncs: 1, ms: 1}, "not measured"},
	} {
		if got := c.judge(r); got[3] != c.want {
			t.Errorf("%+v: %q, want %s", c.target, got, c.want)
		}
	}
	dir := t.TempDir()
	if err := r.Write(dir, "redis"); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := PrintTargets(&b, dir); err != nil || !strings.Contains(b.String(), "not measured") || strings.Contains(b.String(), "galera") {
		t.Errorf("%v:\n%s", err, b.String())
	}
}
