package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of CPU times in /proc: 1/100 s on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// Usage of a process, or of several.
type Usage struct {
	CPU     time.Duration
	Written uint64 // bytes that were to go to disk
	Memory  uint64 // resident bytes
}

// Add sums up.
func (u Usage) Add(o Usage) Usage {
	return Usage{u.CPU + o.CPU, u.Written + o.Written, u.Memory + o.Memory}
}

// Since is what was used after before; memory is what is used now.
func (u Usage) Since(before Usage) Usage {
	return Usage{u.CPU - before.CPU, u.Written - before.Written, u.Memory}
}

// Process reads the usage of a process, all its threads together.
func Process(pid int) (Usage, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return Usage{}, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	u, err := parseStat(string(stat))
	if err != nil {
		return Usage{}, fmt.Errorf("%sstat: %w", dir, err)
	}
	io, err := os.ReadFile(dir + "io")
	if err != nil {
		return Usage{}, fmt.Errorf("read what process %d has written: %w", pid, err)
	}
	if u.Written, err = parseIO(string(io)); err != nil {
		return Usage{}, fmt.Errorf("%sio: %w", dir, err)
	}
	return u, nil
}

// parseStat reads utime, stime and rss. The name, in brackets, may hold anything.
func parseStat(stat string) (Usage, error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	const user, system, resident = 11, 12, 21 // after the name
	if end < 0 || len(fields) <= resident {
		return Usage{}, fmt.Errorf("too few fields: %q", stat)
	}
	var values [3]uint64
	for i, field := range []int{user, system, resident} {
		var err error
		if values[i], err = strconv.ParseUint(fields[field], 10, 64); err != nil {
			return Usage{}, err
		}
	}
	return Usage{CPU: time.Duration(values[0]+values[1]) * tick, Memory: values[2] * uint64(os.Getpagesize())}, nil
}

// parseIO reads what went to disk, less what was deleted before it got there.
func parseIO(text string) (uint64, error) {
	written, found := field(text, "write_bytes:")
	if !found {
		return 0, fmt.Errorf("no write_bytes: %q", text)
	}
	cancelled, _ := field(text, "cancelled_write_bytes:")
	return written - min(cancelled, written), nil
}

func field(text, name string) (uint64, bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			v, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
			return v, err == nil
		}
	}
	return 0, false
}

// Self is the CPU time of this process.
func Self() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, fmt.Errorf("read the CPU time of this process: %w", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}

// Machine is how long the CPUs have been busy, all together, whoever used them.
func Machine() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of the machine: %w", err)
	}
	return parseMachine(b)
}

func parseMachine(stat []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(stat, []byte{'\n'})
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var busy time.Duration
	for i, f := range fields[1:9] {
		if i == 3 || i == 4 { // idle, and idle for a disk
			continue
		}
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		busy += time.Duration(v) * tick
	}
	return busy, nil
}

// Loopback is how many bytes, headers included, have gone through the loopback device of this network namespace.
func Loopback() (uint64, error) {
	b, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return 0, fmt.Errorf("read what the network has carried: %w", err)
	}
	return parseLoopback(string(b))
}

func parseLoopback(text string) (uint64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "lo:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				break
			}
			return strconv.ParseUint(fields[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no loopback device: %q", text)
}
