package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nexus-replication/nexus/bench/measure"
)

// Run is all that one group of cases came to.
type Run struct {
	Group   string  `json:"group"`
	About   string  `json:"about"`
	Machine Machine `json:"machine"`
	Cases   []*Case `json:"cases"`
}

// Machine is where it ran.
type Machine struct {
	Time      time.Time         `json:"time"`
	Version   string            `json:"version"`
	System    string            `json:"system"`
	CPUs      int               `json:"cpus"`
	CPU       string            `json:"cpu"`
	Fdatasync float64           `json:"fdatasync_ms"` // the median of some, of 4 KB each, when the run began
	Network   bool              `json:"own_network"`  // whether network bytes were counted
	Slice     float64           `json:"slice_seconds"`
	Rounds    int               `json:"rounds"`
	Programs  map[string]string `json:"programs"`
}

// Case is one load on the systems that are compared. Ratios are to the first.
type Case struct {
	Name    string    `json:"name"`
	Systems []*System `json:"systems"`
}

// System is what one system made of a load.
type System struct {
	Name    string   `json:"name"`
	Samples []Sample `json:"samples"`
	Summary Summary  `json:"summary"`

	latency measure.Histogram
}

// Kinds of processes.
const (
	Node    = "node"
	Backend = "backend"
	Load    = "load"
)

// Sample is one slice of time.
type Sample struct {
	Ops      uint64             `json:"ops"`
	Errors   uint64             `json:"errors,omitempty"`
	Error    string             `json:"error,omitempty"` // the first
	Seconds  float64            `json:"seconds"`
	CPU      map[string]float64 `json:"cpu_seconds"`             // by kind of process
	Memory   map[string]uint64  `json:"memory_bytes"`            // by kind, at the end
	Network  uint64             `json:"network_bytes,omitempty"` // all that went over loopback: clients, members and backends
	Disk     map[string]uint64  `json:"disk_bytes"`              // by kind
	Counters map[string]float64 `json:"counters,omitempty"`      // of all nodes together
	// Behind is how long it took, when the load had ended, until all nodes had applied all of it, in seconds.
	Behind float64 `json:"behind_seconds,omitempty"`
	// Others is the part of the machine's CPU time that went to what is not the system and its load.
	Others float64 `json:"others"`
}

// Summary is the median of the samples, with their extremes; latencies and costs are of all together.
type Summary struct {
	Rate    float64 `json:"ops_per_second"`
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
	Ratio   float64 `json:"ratio,omitempty"` // of Rate to that of the first system
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p999_ms"`
	Max     float64 `json:"max_ms"`
	Errors  uint64  `json:"errors,omitempty"`
	Others  float64 `json:"others"`
	Behind  float64 `json:"behind_seconds,omitempty"` // the longest
	Memory  float64 `json:"memory_mb"`                // of the system, at the end
	Network float64 `json:"network_bytes_per_op,omitempty"`
	Disk    float64 `json:"disk_bytes_per_op"`
	// CPU is microseconds for each operation, by kind of process, and "all".
	CPU      map[string]float64 `json:"cpu_us_per_op"`
	Counters map[string]float64 `json:"counters_per_op,omitempty"`
}

// All stands for all kinds of processes together.
const All = "all"

// Add keeps a sample.
func (s *System) Add(sample Sample, latency *measure.Histogram) {
	s.Samples = append(s.Samples, sample)
	s.latency.Merge(latency)
}

// Summarize works out the summaries of a case.
func (c *Case) Summarize() {
	for _, s := range c.Systems {
		s.summarize()
		if first := c.Systems[0].Summary.Rate; first > 0 && s != c.Systems[0] {
			s.Summary.Ratio = s.Summary.Rate / first
		}
	}
}

func (s *System) summarize() {
	sum := Summary{CPU: make(map[string]float64), Counters: make(map[string]float64)}
	var rates []float64
	var ops, network, disk float64
	for _, p := range s.Samples {
		rates = append(rates, float64(p.Ops)/p.Seconds)
		ops += float64(p.Ops)
		network += float64(p.Network)
		sum.Errors += p.Errors
		sum.Others = max(sum.Others, p.Others)
		sum.Behind = max(sum.Behind, p.Behind)
		for kind, used := range p.CPU {
			sum.CPU[kind] += used * 1e6
			sum.CPU[All] += used * 1e6
		}
		for _, written := range p.Disk {
			disk += float64(written)
		}
		for name, n := range p.Counters {
			sum.Counters[name] += n
		}
	}
	if len(rates) > 0 {
		slices.Sort(rates)
		sum.Least, sum.Rate, sum.Most = rates[0], median(rates), rates[len(rates)-1]
		for _, used := range s.Samples[len(s.Samples)-1].Memory {
			sum.Memory += float64(used) / 1e6
		}
	}
	if ops > 0 {
		sum.Network, sum.Disk = network/ops, disk/ops
		for _, each := range []map[string]float64{sum.CPU, sum.Counters} {
			for name := range each {
				each[name] /= ops
			}
		}
	}
	ms := func(q float64) float64 { return s.latency.Quantile(q).Seconds() * 1e3 }
	sum.P50, sum.P99, sum.P999, sum.Max = ms(0.5), ms(0.99), ms(0.999), ms(1)
	s.Summary = sum
}

// median of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Write leaves NAME.json and NAME.svg in dir.
func (r *Run) Write(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	for ending, b := range map[string][]byte{".json": append(text, '\n'), ".svg": r.chart()} {
		if err := os.WriteFile(filepath.Join(dir, name+ending), b, 0o644); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	return nil
}

// Read reads what Write wrote as JSON.
func Read(file string) (*Run, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	r := new(Run)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read results: %s: %w", file, err)
	}
	return r, nil
}

// Find returns what a system made of a case; nil if that was not run.
func (r *Run) Find(name, system string) *System {
	for _, c := range r.Cases {
		if c.Name != name {
			continue
		}
		for _, s := range c.Systems {
			if s.Name == system {
				return s
			}
		}
	}
	return nil
}
