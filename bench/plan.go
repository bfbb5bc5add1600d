package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/nexus-replication/nexus/bench/load"
)

// workload is what a case does to each system.
type workload interface {
	// contents names what fill puts into a system, which is done once for all workloads with the same.
	contents() string
	fill(ctx context.Context, e *env, s *system, addr string) error
	// run drives the system for about d. CPU time of programs that it started for that is in used.
	run(ctx context.Context, e *env, s *system, addr string, d time.Duration) (r *load.Result, used time.Duration, err error)
}

// group is cases that are run on the same running systems.
type group struct {
	name, about string
	mysql       bool
	extra       bool // only if it is asked for by name
	apart       bool // nodes are delay away from each other
	delay       time.Duration
	cases       []benchCase
}

type benchCase struct {
	name    string
	quick   bool
	load    workload
	systems []entrant
}

// entrant is a system in a case, driven through the node that has a role.
type entrant struct {
	name   string // in the report
	system string // in starters
	role   string
	quick  bool
}

// kv is a load of GETs and SETs.
type kv struct{ load.Spec }

func (l kv) contents() string { return fmt.Sprintf("%d keys of %d bytes", l.Keys, l.Size) }

func (l kv) fill(ctx context.Context, e *env, s *system, addr string) error {
	if s.etcd {
		_, _, err := runEtcdLoad(ctx, e, addr, l.Spec, 0)
		return err
	}
	return load.FillRedis(ctx, addr, l.Keys, l.Size)
}

func (l kv) run(ctx context.Context, e *env, s *system, addr string, d time.Duration) (*load.Result, time.Duration, error) {
	if s.etcd {
		return runEtcdLoad(ctx, e, addr, l.Spec, d)
	}
	r, err := load.Redis(ctx, addr, l.Spec, d)
	return r, 0, err
}

const (
	set = 0
	get = 1
)

// keysOf keeps what is stored of values of a size within 16 MB.
func keysOf(size int) int { return min(10_000, 16<<20/size) }

func simple(reads float64, clients, pipeline, size int) kv {
	return kv{load.Spec{Clients: clients, Pipeline: pipeline, Size: size, Keys: keysOf(size), Reads: reads, Seed: 1}}
}

// Entrants.
var (
	redis         = entrant{name: "redis", system: "redis", quick: true}
	redisAOF      = entrant{name: "redis, AOF always", system: "redis-aof", quick: true}
	lease         = entrant{name: "nexus 3, lease", system: "nexus-3-lease", role: leader, quick: true}
	leaseFollower = entrant{name: "nexus 3, lease, follower", system: "nexus-3-lease", role: follower}
	quorum        = entrant{name: "nexus 3, quorum", system: "nexus-3-quorum", role: leader, quick: true}
	quorumFollow  = entrant{name: "nexus 3, quorum, follower", system: "nexus-3-quorum", role: follower}
	single        = entrant{name: "nexus 1, lease", system: "nexus-1-lease", role: leader}
	five          = entrant{name: "nexus 5, lease", system: "nexus-5-lease", role: leader}
	etcd          = entrant{name: "etcd 3", system: "etcd"}

	mariaRelaxed  = entrant{name: "mariadb, relaxed", system: "mariadb-relaxed"}
	mariaDurable  = entrant{name: "mariadb, durable", system: "mariadb-durable", quick: true}
	semiSync      = entrant{name: "semi-sync 1+2", system: "mariadb-semisync", quick: true}
	galera        = entrant{name: "galera 3", system: "galera", quick: true}
	mysqlLeader   = entrant{name: "nexus 3", system: "nexus-mysql", role: leader, quick: true}
	mysqlFollower = entrant{name: "nexus 3, follower", system: "nexus-mysql", role: follower}
)

// kvCase names a case after its load.
func kvCase(reads float64, clients, pipeline, size int, systems ...entrant) benchCase {
	op := "SET"
	if reads == get {
		op = "GET"
	}
	unit := fmt.Sprintf("%d B", size)
	if size >= 1<<10 {
		unit = fmt.Sprintf("%d KB", size>>10)
	}
	return benchCase{name: fmt.Sprintf("%s %d clients P%d %s", op, clients, pipeline, unit), load: simple(reads, clients, pipeline, size), systems: systems}
}

func mixed(name string, reads float64, size int, zipf bool, systems ...entrant) benchCase {
	l := simple(reads, 50, 1, size)
	l.Zipf = zipf
	return benchCase{name: name, load: l, systems: systems}
}

func plan() []group {
	groups := []group{redisGroup(), clientsGroup(), sizesGroup(), keysGroup(), mixedGroup(), nodesGroup(), etcdGroup(), soakGroup()}
	for _, threads := range []int{1, 16, 64} {
		groups = append(groups, mysqlGroup(threads))
	}
	for _, there := range []time.Duration{0, 5, 50, 150} {
		groups = append(groups, wanGroup(there*time.Millisecond))
	}
	return groups
}

func redisGroup() group {
	g := group{name: "redis", about: "One redis-server, and nodes before three of them."}
	for _, reads := range []float64{set, get} {
		for _, pipeline := range []int{1, 16, 64} {
			c := kvCase(reads, 50, pipeline, 32, redis, redisAOF, lease, leaseFollower, quorum, quorumFollow)
			c.quick = pipeline < 64
			g.cases = append(g.cases, c)
		}
		c := kvCase(reads, 1, 1, 32, redis, redisAOF, lease, leaseFollower, quorum, quorumFollow)
		c.quick = reads == set
		g.cases = append(g.cases, c)
	}
	return g
}

func clientsGroup() group {
	g := group{name: "clients", about: "How throughput changes with the number of clients."}
	for _, reads := range []float64{set, get} {
		for _, clients := range []int{1, 50, 256, 1000} {
			g.cases = append(g.cases, kvCase(reads, clients, 1, 32, redis, redisAOF, lease))
		}
	}
	return g
}

func sizesGroup() group {
	g := group{name: "sizes", about: "How cost changes with the size of values."}
	for _, reads := range []float64{set, get} {
		for _, size := range []int{32, 1 << 10, 64 << 10} {
			g.cases = append(g.cases, kvCase(reads, 50, 1, size, redis, redisAOF, lease))
		}
	}
	return g
}

func keysGroup() group {
	g := group{name: "keys", about: "How cost changes with the number of keys."}
	for _, keys := range []int{1000, 1_000_000} {
		for _, reads := range []float64{set, get} {
			c := kvCase(reads, 50, 1, 32, redis, lease)
			l := simple(reads, 50, 1, 32)
			l.Keys = keys
			c.name, c.load = fmt.Sprintf("%s, %d keys", c.name, keys), l
			g.cases = append(g.cases, c)
		}
	}
	return g
}

func mixedGroup() group {
	systems := []entrant{redis, redisAOF, lease, quorum}
	return group{name: "mixed", about: "Reads and writes on the same connections, 50 clients; YCSB with values of 1 KB and popular keys.", cases: []benchCase{
		mixed("1 SET to 1 GET, 32 B", 0.5, 32, false, systems...),
		mixed("1 SET to 10 GET, 32 B", 10.0/11, 32, false, systems...),
		mixed("YCSB A: half updates", 0.5, 1<<10, true, systems...),
		mixed("YCSB B: 5 % updates", 0.95, 1<<10, true, systems...),
		mixed("YCSB C: reads only", 1, 1<<10, true, systems...),
	}}
}

func nodesGroup() group {
	g := group{name: "nodes", about: "How cost changes with the number of nodes."}
	for _, reads := range []float64{set, get} {
		for _, pipeline := range []int{1, 16} {
			g.cases = append(g.cases, kvCase(reads, 50, pipeline, 32, redis, single, lease, five))
		}
	}
	return g
}

func etcdGroup() group {
	g := group{name: "etcd", about: "Etcd v3.5, put and linearizable get over gRPC, and Nexus, which asks a quorum for reads as etcd does."}
	for _, reads := range []float64{set, get} {
		for _, clients := range []int{1, 50, 256} {
			g.cases = append(g.cases, kvCase(reads, clients, 1, 32, etcd, quorum))
		}
	}
	return g
}

func soakGroup() group {
	c := kvCase(set, 50, 16, 32, lease)
	return group{name: "soak", about: "What memory does in a long run; use -slice and -rounds.", extra: true, cases: []benchCase{c}}
}

func mysqlGroup(threads int) group {
	g := group{name: fmt.Sprintf("mysql-%d", threads), mysql: true,
		about: "Sysbench on 4 tables of 10,000 rows. Durable: innodb_flush_log_at_trx_commit=1 and sync_binlog=1, which semi-sync has too; Galera the first of them."}
	for _, test := range []string{"oltp_insert", "oltp_update_index", "oltp_point_select", "oltp_read_write"} {
		g.cases = append(g.cases, benchCase{
			name:    fmt.Sprintf("%s %d threads", test, threads),
			quick:   threads == 16 || threads == 1 && test == "oltp_insert",
			load:    sysbench{test, threads},
			systems: []entrant{mariaDurable, mariaRelaxed, semiSync, galera, mysqlLeader, mysqlFollower},
		})
	}
	return g
}

// wanGroup has nodes that are there from each other, there and back; clients are near the node that they use.
func wanGroup(there time.Duration) group {
	g := group{name: fmt.Sprintf("wan-%dms", there.Milliseconds()), apart: true, delay: there / 2,
		about: fmt.Sprintf("Nodes %v from each other, there and back, clients beside their node. Load holds the network in between.", there)}
	for _, reads := range []float64{set, get} {
		for _, clients := range []int{1, 50} {
			g.cases = append(g.cases, kvCase(reads, clients, 1, 32, lease, leaseFollower, quorum, quorumFollow))
		}
	}
	g.cases = append(g.cases, kvCase(set, 50, 16, 32, lease, leaseFollower))
	return g
}

// selection says what of the plan is run.
type selection struct {
	full, mysql bool
	only        *regexp.Regexp // of GROUP/CASE/SYSTEM; nil for all
}

// choose returns what is selected of a group: cases without any system are left out.
func (s selection) choose(g group) group {
	var kept []benchCase
	if g.extra && s.only == nil || s.only == nil && !s.full && g.mysql != s.mysql {
		g.cases = nil
		return g
	}
	for _, c := range g.cases {
		var systems []entrant
		for _, e := range c.systems {
			if s.takes(g, c, e) {
				systems = append(systems, e)
			}
		}
		if len(systems) > 0 {
			c.systems = systems
			kept = append(kept, c)
		}
	}
	g.cases = kept
	return g
}

func (s selection) takes(g group, c benchCase, e entrant) bool {
	if s.only != nil {
		return s.only.MatchString(g.name + "/" + c.name + "/" + e.name)
	}
	return s.full || c.quick && e.quick
}
