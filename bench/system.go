package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-replication/nexus/bench/measure"
	"github.com/nexus-replication/nexus/bench/report"
	"github.com/nexus-replication/nexus/integration/cluster"
)

// system is what is measured: some processes that together answer clients.
type system struct {
	processes []process
	// at returns where clients connect, which moves with leadership. The role is one of those below.
	at func(ctx context.Context, role string) (string, error)
	// counters of all nodes together, that only grow; nil where there are none.
	counters func(ctx context.Context) (map[string]float64, error)
	// caughtUp waits until all nodes have applied what was committed before; nil as well.
	caughtUp func(ctx context.Context) error
	stop     func() error
	etcd     bool // spoken there, instead of Redis's or MySQL's protocol
}

const (
	leader   = "leader"
	follower = "follower"
)

type process struct {
	kind string
	*cluster.Process
}

// env is what systems are started with.
type env struct {
	bin   string        // directory of the programs
	dir   string        // for everything else
	delay time.Duration // from one node to another, of those that are apart; see group
	apart bool
}

// starters by the names that the plan has for systems.
var starters = map[string]func(ctx context.Context, e *env) (*system, error){
	"redis": func(ctx context.Context, e *env) (*system, error) { return startRedis(ctx, e) },
	"redis-aof": func(ctx context.Context, e *env) (*system, error) {
		return startRedis(ctx, e, "--appendonly", "yes", "--appendfsync", "always")
	},
	"nexus-1-lease":    nexusStarter(1, "-nexusLeaseBasedReads"),
	"nexus-3-lease":    nexusStarter(3, "-nexusLeaseBasedReads"),
	"nexus-3-quorum":   nexusStarter(3),
	"nexus-5-lease":    nexusStarter(5, "-nexusLeaseBasedReads"),
	"etcd":             startEtcd,
	"mariadb-relaxed":  func(ctx context.Context, e *env) (*system, error) { return startMariaDB(ctx, e, relaxed...) },
	"mariadb-durable":  func(ctx context.Context, e *env) (*system, error) { return startMariaDB(ctx, e, durable...) },
	"mariadb-semisync": startSemiSync,
	"galera":           startGalera,
	"nexus-mysql":      startNexusMySQL,
}

// unavailable is an error that lets a run go on without a system.
type unavailable struct{ error }

// used is what the processes of a system have used so far, by kind.
func (s *system) used() (map[string]measure.Usage, error) {
	all := make(map[string]measure.Usage)
	for _, p := range s.processes {
		u, err := measure.Process(p.Pid())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p.Name, err), p.Err())
		}
		all[p.kind] = all[p.kind].Add(u)
	}
	return all, nil
}

// fixed is the at of a system with one address.
func fixed(addr string) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return addr, nil }
}

// stopGrace is how long a process may take to end.
const stopGrace = 20 * time.Second

// stopAll stops processes, the last first.
func stopAll(processes []process) error {
	var errs []error
	for i := len(processes) - 1; i >= 0; i-- {
		if processes[i].Running() {
			errs = append(errs, processes[i].Stop(stopGrace))
		}
	}
	return errors.Join(errs...)
}

func backends(processes ...*cluster.Process) []process {
	all := make([]process, len(processes))
	for i, p := range processes {
		all[i] = process{report.Backend, p}
	}
	return all
}
