package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/bench/report"
)

// fill works out what was used between two looks; child is the CPU time of programs that were the load.
func fill(s *report.Sample, before, after state, child time.Duration) {
	var own time.Duration
	for kind, u := range after.system {
		used := u.Since(before.system[kind])
		s.CPU[kind] = used.CPU.Seconds()
		s.Disk[kind] = used.Written
		s.Memory[kind] = used.Memory
		own += used.CPU
	}
	loaded := after.self - before.self + child
	s.CPU[report.Load] = loaded.Seconds()
	if all := after.at.Sub(before.at) * time.Duration(runtime.NumCPU()); all > 0 {
		s.Others = max(0, (after.machine-before.machine-own-loaded).Seconds()/all.Seconds())
	}
	if after.counters != nil {
		s.Counters = make(map[string]float64)
		for name, n := range after.counters {
			s.Counters[name] = n - before.counters[name]
		}
	}
}

// machine describes what this runs on.
func (r *runner) machine(dir string) (report.Machine, error) {
	m := report.Machine{
		Time: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), CPU: cpuModel(),
		System: firstLine("uname", "-sr"), Version: r.version,
		Network: r.network, Slice: r.slice.Seconds(), Rounds: r.rounds,
		Programs: map[string]string{"go": runtime.Version(), "redis": firstLine("redis-server", "--version"), "mariadb": firstLine("mariadbd", "--version"),
			"nexus": firstLine(filepath.Join(r.bin, "redis_repl"), "-version")},
	}
	took, err := fdatasync(dir)
	m.Fdatasync = took.Seconds() * 1e3
	return m, err
}

// firstLine of what a program prints; nothing if it is not there.
func firstLine(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(out, []byte{'\n'})
	return strings.TrimSpace(string(line))
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// fdatasync is how long the disk takes to have 4 KB in the middle of a file for good: the median of some tries.
func fdatasync(dir string) (time.Duration, error) {
	const tries, block = 200, 4 << 10
	f, err := os.Create(filepath.Join(dir, "fdatasync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, block)
	for range tries { // room, so that only data has to be written
		if _, err := f.Write(buf); err != nil {
			return 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	var all []time.Duration
	for i := range tries {
		if _, err := f.WriteAt(buf, int64(i*block)); err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := syncData(f); err != nil {
			return 0, fmt.Errorf("fdatasync: %w", err)
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all[tries/2], nil
}
