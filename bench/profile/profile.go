// Package profile says in which stage of a command the nodes' CPU time goes, from samples of their stacks that perf has
// taken, the kernel's part included.
package profile

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Sample is a stack of a process, the innermost function first.
type Sample struct {
	Pid    int
	Frames []string
}

// Kernel reports whether the sample was taken in the kernel: Go's functions have a package before the first dot.
func (s *Sample) Kernel() bool {
	return len(s.Frames) > 0 && !strings.Contains(s.Frames[0], ".") || s.kernelPart()
}

// kernelPart: the compiler that built the kernel marks parts of functions by dots too.
func (s *Sample) kernelPart() bool {
	if len(s.Frames) == 0 {
		return false
	}
	name, part, _ := strings.Cut(s.Frames[0], ".")
	for _, mark := range []string{"isra.", "part.", "constprop.", "cold"} {
		if strings.HasPrefix(part, mark) && !strings.ContainsAny(name, "/(*") {
			return true
		}
	}
	return false
}

// Parse reads what perf script -F pid,tid,ip,sym prints.
func Parse(r io.Reader) ([]Sample, error) {
	var all []Sample
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " ")
		switch {
		case line == "":
		case line[0] != '\t':
			pid, _, _ := strings.Cut(strings.TrimSpace(line), "/")
			n, err := strconv.Atoi(pid)
			if err != nil {
				return nil, fmt.Errorf("perf script: want a process id, got %q", line)
			}
			all = append(all, Sample{Pid: n})
		case len(all) == 0:
			return nil, fmt.Errorf("perf script: a stack of no process: %q", line)
		default:
			_, name, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				name = "[unknown]"
			}
			last := &all[len(all)-1]
			last.Frames = append(last.Frames, name)
		}
	}
	return all, lines.Err()
}

// stages with what is in a stack that belongs to each; the first that fits counts.
var stages = []struct {
	Name  string
	Marks []string
}{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcAssistAlloc", "runtime.gcStart"}},
	{"log: write and fsync", []string{"etcd/server/v3/wal.", "raft.(*diskLog)"}},
	{"transport between nodes", []string{"rafthttp.", "raft.(*transport)", "raft.inbound", "net/http.", "raft.(*Replicator).forward"}},
	{"read: the backend", []string{"appliers/redis.(*readers)", "appliers/redis.(*readConn)", "appliers/redis.(*Backend).Read"}},
	{"capture of rows", []string{"appliers/mysql.(*capture)", "go-mysql/replication"}},
	{"apply to the backend", []string{"raft.(*applyLoop)", "appliers/redis.(*run)", "appliers/mysql.(*Backend).Apply"}},
	{"reply to the client", []string{"guard.(*Conn).Write", "proxy/redis.(*session).flush", "redcon.(*Writer).Flush", "proxy/mysql/wire.(*Conn).Flush"}},
	{"receive and parse", []string{"guard.(*Conn).Read", "redcon.(*Reader)", "proxy/mysql/wire.(*Conn).ReadPacket", "redcon.readCommands"}},
	{"propose and wait", []string{"raft.(*Replicator).Propose", "raft.(*Replicator).proposeBatch", "raft.(*Replicator).dispatch", "raft.(*Replicator).sequence", "proxy/redis.(*session).propose", "proxy/mysql.(*commitGroup)"}},
	{"read: may it be answered", []string{"raft.(*Replicator).Read", "raft.(*Replicator).finishRead", "raft.(*Replicator).askRead"}},
	{"raft itself", []string{"raft.(*Replicator).runLoop", "etcd/raft/v3"}},
	{"session", []string{"proxy/redis", "redcon.", "proxy/mysql", "appliers/mysql"}},
	{"scheduler of Go", []string{"runtime.mcall", "runtime.mstart", "runtime.sysmon", "runtime.schedule", "runtime.futex"}},
}

// other is what no stage has marks of.
const other = "other"

// Stage is where a sample belongs.
func (s *Sample) Stage() string {
	for _, stage := range stages {
		for _, frame := range s.Frames {
			for _, mark := range stage.Marks {
				if strings.Contains(frame, mark) {
					return stage.Name
				}
			}
		}
	}
	return other
}

// Share is the part of some processes' samples that belongs to a stage.
type Share struct {
	Stage  string
	Part   float64
	Kernel float64 // the part of all that is in the kernel in this stage
}

// Shares of the samples of the processes that are in pids, the largest first.
func Shares(all []Sample, pids func(pid int) bool) []Share {
	total := 0
	by := make(map[string]*Share)
	for i := range all {
		s := &all[i]
		if !pids(s.Pid) {
			continue
		}
		total++
		name := s.Stage()
		if by[name] == nil {
			by[name] = &Share{Stage: name}
		}
		by[name].Part++
		if s.Kernel() {
			by[name].Kernel++
		}
	}
	var shares []Share
	for _, s := range by {
		s.Part /= float64(total)
		s.Kernel /= float64(total)
		shares = append(shares, *s)
	}
	slices.SortFunc(shares, func(a, b Share) int {
		if a.Part != b.Part {
			if a.Part > b.Part {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Stage, b.Stage)
	})
	return shares
}

// Fold writes the stacks as flame graph programs read them: outermost first, with how often each was met.
func Fold(w io.Writer, all []Sample) error {
	counts := make(map[string]int)
	for i := range all {
		frames := slices.Clone(all[i].Frames)
		slices.Reverse(frames)
		counts[all[i].Stage()+";"+strings.Join(frames, ";")]++
	}
	stacks := make([]string, 0, len(counts))
	for stack := range counts {
		stacks = append(stacks, stack)
	}
	slices.Sort(stacks)
	for _, stack := range stacks {
		if _, err := fmt.Fprintf(w, "%s %d\n", stack, counts[stack]); err != nil {
			return err
		}
	}
	return nil
}
