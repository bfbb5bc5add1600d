package faults

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
	"github.com/nexus-replication/nexus/integration/lan"
)

const (
	// shortRun is how many rounds there are where nobody asks for more.
	shortRun = 4
	// packetShare: of each so many rounds, there is one more on a network that loses packets.
	packetShare = 3
)

var (
	roundsFlag  = flag.Int("rounds", shortRun, "rounds of faults")
	seedFlag    = flag.Uint64("seed", 1, "what the plans are made of")
	firstFlag   = flag.Int("first", 1, "number of the first round")
	onlyFlag    = flag.String("only", "", "faults to choose from, with commas between; all if empty")
	perFlag     = flag.Int("per-cluster", 2, "rounds before the next cluster is made")
	failuresDir = flag.String("failures", filepath.Join("..", "..", "bin", "faults"), "where failed rounds are kept")
)

// nodeBinary is redis_repl with its failpoints and its clock that can be put wrong.
var nodeBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(clustertest.Main(m, []string{"redis-server"}, func(dir string) error {
		nodeBinary = filepath.Join(dir, "redis_repl")
		return cluster.Build(dir, "failpoint", "../../cmd/redis_repl")
	}))
}

// TestFaults runs the rounds, several with one cluster.
func TestFaults(t *testing.T) {
	t.Parallel()
	runRounds(t, possibleFaults(t, allFaults()), false, *roundsFlag)
}

// TestPacketFaults runs some on a network that loses packets.
func TestPacketFaults(t *testing.T) {
	t.Parallel()
	l, err := lan.New()
	if errors.Is(err, lan.ErrUnavailable) {
		t.Skipf("SKIPPED: faults of packets: %v", err)
	}
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	runRounds(t, possibleFaults(t, packetFaults()), true, (*roundsFlag+packetShare-1)/packetShare)
}

func runRounds(t *testing.T, possible []*fault, packets bool, rounds int) {
	t.Helper()
	var sum total
	defer func() { t.Log(sum.String()) }()
	last := *firstFlag + rounds - 1
	for first := *firstFlag; first <= last && t.Context().Err() == nil; {
		next := min(first-(first-1)%*perFlag+*perFlag, last+1)
		runCluster(t, possible, packets, first, next, &sum)
		first = next
	}
}

// possibleFaults are those that can be had here. It says what cannot.
func possibleFaults(t *testing.T, all []*fault) []*fault {
	t.Helper()
	disks := canMount(t)
	var possible []*fault
	for _, f := range all {
		if *onlyFlag != "" && !contains(strings.Split(*onlyFlag, ","), f.name) {
			continue
		}
		if f.needsDisks && !disks {
			t.Logf("SKIPPED: the fault %s: no file system can be mounted here", f.name)
			continue
		}
		possible = append(possible, f)
	}
	return possible
}

func contains(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}

func canMount(t *testing.T) bool {
	t.Helper()
	disk, err := cluster.MountTmpfs(filepath.Join(t.TempDir(), "try"), 1)
	if err != nil {
		t.Log(err)
		return false
	}
	if err := disk.Unmount(); err != nil {
		t.Fatal(err)
	}
	return true
}

// runCluster makes a cluster and runs the rounds from first to before next on it. How it is configured depends on the
// seed and the number of the cluster.
func runCluster(t *testing.T, possible []*fault, packets bool, first, next int, sum *total) {
	t.Helper()
	number := (first - 1) / *perFlag
	rng := rand.New(rand.NewPCG(*seedFlag, 1<<32+uint64(number)))
	timeout := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second}[rng.IntN(3)]
	snapshots := []int{100, 1000, 100_000}[rng.IntN(3)]
	leases := number%2 == 0
	disks := false
	for _, f := range possible {
		disks = disks || f.needsDisks
	}
	disks = disks && rng.IntN(2) == 0
	if !disks {
		possible = without(possible, func(f *fault) bool { return f.needsDisks })
	}
	flags := []string{
		"-nexus-repl-timeout", timeout.String(), "-nexus-snapshot-count", fmt.Sprint(snapshots),
		fmt.Sprintf("-nexusLeaseBasedReads=%v", leases),
	}
	t.Logf("cluster %d: %s, disks that can run full: %v, packets are lost: %v", number, strings.Join(flags, " "), disks, packets)
	l, err := newLab(t.Context(), labOptions{Binary: nodeBinary, Dir: t.TempDir(), Flags: flags, Disks: disks, Packets: packets})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}()
	for round := first; round < next; round++ {
		r := runRound(t.Context(), l, *seedFlag, round, plan(*seedFlag, round, possible), timeout+2*time.Second)
		sum.add(r)
		t.Log(r.String())
		if len(r.problems) == 0 {
			continue
		}
		dir, err := r.keep(*failuresDir, l)
		t.Errorf("round %d failed, see %s (%v)", round, dir, err)
		sum.cut += next - round - 1
		return // what follows on this cluster would tell nothing new
	}
}

func without(list []*fault, drop func(*fault) bool) []*fault {
	var kept []*fault
	for _, f := range list {
		if !drop(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// total is the tally of a run.
type total struct {
	rounds, failed, undecided, cut int
	tally                          tally
	steps                          map[string]int
	longestGap, longestRecovery    time.Duration
}

func (s *total) add(r *result) {
	s.rounds++
	if len(r.problems) > 0 {
		s.failed++
	}
	s.undecided += r.undecided
	s.tally.add(r.tally)
	s.longestGap = max(s.longestGap, r.gap)
	s.longestRecovery = max(s.longestRecovery, r.recovered)
	if s.steps == nil {
		s.steps = make(map[string]int)
	}
	for i, st := range r.steps {
		if r.whats[i] != nothing {
			s.steps[st.fault.name]++
		}
	}
}

func (s *total) String() string {
	var faults []string
	for name, n := range s.steps {
		faults = append(faults, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(faults)
	return fmt.Sprintf("%d rounds, %d failed, %d left out after a failure, %d histories undecided: %v; longest gap without an answered write %v, longest recovery %v\nfaults: %s",
		s.rounds, s.failed, s.cut, s.undecided, s.tally, s.longestGap.Round(10*time.Millisecond), s.longestRecovery.Round(10*time.Millisecond),
		strings.Join(faults, ", "))
}
