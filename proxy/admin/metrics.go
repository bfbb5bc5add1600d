package admin

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/nexus-replication/nexus/raft"
)

// Build says which program this is.
type Build struct {
	Version, Commit, Date string
}

// roles are the values of raft.Status.Role: nexus_raft_role has a series for each, so that a query can name them all.
var roles = []string{"starting", "joining", "follower", "candidate", "leader", "learner", "removed", "stopped", "failed"}

func newRegistry(node Node, build Build) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "nexus_build_info",
		Help:        "1, with the version of the program as labels.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit, "date": build.Date},
	})
	info.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info,
		newRaftCollector(node),
	)
	return r
}

// raftCollector asks the node once for each scrape, so that all values are of one moment.
type raftCollector struct {
	node  Node
	role  *prometheus.Desc
	lag   *prometheus.Desc
	plain []plainMetric
}

type plainMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(raft.Status) float64
}

func newRaftCollector(node Node) *raftCollector {
	c := &raftCollector{
		node: node,
		role: prometheus.NewDesc("nexus_raft_role", "1 for the role this node has, 0 for the others.", []string{"role"}, nil),
		lag: prometheus.NewDesc("nexus_raft_peer_match_index",
			"On the leader, the last log index that each member is known to hold.", []string{"url"}, nil),
	}
	gauge := func(name, help string, value func(raft.Status) float64) {
		c.plain = append(c.plain, plainMetric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value})
	}
	gauge("nexus_raft_term", "Raft term.", func(s raft.Status) float64 { return float64(s.Term) })
	gauge("nexus_raft_commit_index", "Last log index known to be committed.", func(s raft.Status) float64 { return float64(s.Commit) })
	gauge("nexus_raft_applied_index", "Last log index applied to the backend.", func(s raft.Status) float64 { return float64(s.Applied) })
	gauge("nexus_backend_executing_seconds", "How long the backend has been executing what it was given, if that is more than a second; 0 otherwise.", executingSeconds)
	gauge("nexus_raft_snapshot_index", "Log index of the newest snapshot on disk; 0 without one.", func(s raft.Status) float64 { return float64(s.Snapshot) })
	counter := func(name, help string, value func(raft.Status) float64) {
		c.plain = append(c.plain, plainMetric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, value})
	}
	counter("nexus_raft_snapshot_written_bytes_total", "Bytes of snapshots written to disk; grows while one is taken.", func(s raft.Status) float64 { return float64(s.SnapshotWritten) })
	counter("nexus_raft_snapshot_sent_bytes_total", "Bytes of snapshots sent to other nodes; grows while one is sent.", func(s raft.Status) float64 { return float64(s.SnapshotSent) })
	gauge("nexus_quarantined", "1 if this node's data was found to differ from that of the others.", func(s raft.Status) float64 { return oneIf(s.Quarantined) })
	gauge("nexus_verified_index", "Log index of the last comparison of all nodes that this node made as a leader; 0 without one.", verifiedIndex)
	gauge("nexus_verified_different", "Nodes that the last comparison found to differ, or could not compare.", verifiedDifferent)
	gauge("nexus_raft_has_leader", "1 if this node knows a leader.", func(s raft.Status) float64 { return oneIf(s.Leader != 0) })
	gauge("nexus_raft_is_leader", "1 if this node is the leader.", func(s raft.Status) float64 { return oneIf(s.Leader != 0 && s.Leader == s.ID) })
	gauge("nexus_raft_lease_seconds", "How long the lease for reads still holds; 0 without one.", func(s raft.Status) float64 { return s.Lease.Seconds() })
	gauge("nexus_serving", "1 while reads and writes are answered.", func(s raft.Status) float64 { return oneIf(s.Serving) })
	gauge("nexus_raft_members", "Members that vote.", func(s raft.Status) float64 { return float64(count(s.Members, false)) })
	gauge("nexus_raft_learners", "Members that do not vote yet.", func(s raft.Status) float64 { return float64(count(s.Members, true)) })
	return c
}

func (c *raftCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.role
	ch <- c.lag
	for _, m := range c.plain {
		ch <- m.desc
	}
}

func (c *raftCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.node.Status()
	for _, role := range roles {
		ch <- prometheus.MustNewConstMetric(c.role, prometheus.GaugeValue, oneIf(st.Role == role), role)
	}
	for _, m := range st.Members {
		if match, ok := st.Progress[m.ID]; ok {
			ch <- prometheus.MustNewConstMetric(c.lag, prometheus.GaugeValue, float64(match), m.URL)
		}
	}
	for _, m := range c.plain {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(st))
	}
}

func executingSeconds(s raft.Status) float64 {
	if s.Executing == nil {
		return 0
	}
	return s.Executing.For.Seconds()
}

func verifiedIndex(s raft.Status) float64 {
	if s.Verified == nil {
		return 0
	}
	return float64(s.Verified.Index)
}

func verifiedDifferent(s raft.Status) float64 {
	n := 0
	if s.Verified != nil {
		for _, m := range s.Verified.Members {
			if m.Problem != "" || len(m.Differences) > 0 {
				n++
			}
		}
	}
	return float64(n)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func count(members []raft.Member, learner bool) (n int) {
	for _, m := range members {
		if m.Learner == learner {
			n++
		}
	}
	return n
}
