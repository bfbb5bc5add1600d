package raft

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a Replicator measures beside its Status. Observing costs tens of nanoseconds.
type metrics struct {
	done, notDone, unknown prometheus.Counter // outcomes of Propose
	propose, commit        prometheus.Histogram
	leaseReads, readRounds prometheus.Counter
	apply, applyEntries    prometheus.Histogram
	taken, restored, sent  prometheus.Histogram // snapshots

	all []prometheus.Collector
}

// durations are bounds in seconds, from an fsync of an SSD to a request that is given up.
var durations = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func newMetrics(r *Replicator) *metrics {
	m := &metrics{}
	histogram := func(name, help string, buckets []float64, labels prometheus.Labels) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets, ConstLabels: labels})
		m.all = append(m.all, h)
		return h
	}
	counter := func(name, help string, labels prometheus.Labels) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
		m.all = append(m.all, c)
		return c
	}
	outcome := func(of string) prometheus.Counter {
		return counter("nexus_raft_proposals_total", "Proposals made at this node, by what became of them.", prometheus.Labels{"outcome": of})
	}
	m.done, m.notDone, m.unknown = outcome("done"), outcome("not_done"), outcome("unknown")
	m.propose = histogram("nexus_raft_propose_seconds", "How long proposals made at this node took until they were applied here.", durations, nil)
	m.commit = histogram("nexus_raft_commit_seconds", "On the leader, how long entries took from its log to a majority of logs.", durations, nil)
	m.leaseReads = counter("nexus_raft_lease_reads_total", "Reads that were answered under a lease, without asking anybody.", nil)
	m.readRounds = counter("nexus_raft_read_rounds_total", "Questions to a majority, each for all reads that waited; also those that keep a lease.", nil)
	m.apply = histogram("nexus_raft_apply_seconds", "How long the backend took to apply a run of entries.", durations, nil)
	m.applyEntries = histogram("nexus_raft_apply_entries", "How many entries the backend was given at a time.", prometheus.ExponentialBuckets(1, 4, 7), nil)
	snapshot := func(action string) prometheus.Histogram {
		return histogram("nexus_raft_snapshot_seconds", "How long snapshots took to be taken, to fill the backend, and to be sent to another member.",
			prometheus.ExponentialBuckets(.01, 4, 9), prometheus.Labels{"action": action})
	}
	m.taken, m.restored, m.sent = snapshot("take"), snapshot("restore"), snapshot("send")
	gauge := func(name, help string, value func() float64) {
		m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("nexus_raft_proposals_pending", "Proposals of this node that may be in a log and are not settled.", func() float64 { return float64(r.pending.count()) })
	gauge("nexus_raft_pending_bytes", "Bytes of proposals that wait on this node.", func() float64 { return float64(r.pendingBytes.Load()) })
	return m
}

// Collector returns the metrics of the node that are not in Status, for Prometheus.
func (r *Replicator) Collector() prometheus.Collector {
	parts := r.metrics.all
	if r.tls.source != nil {
		parts = append(slices.Clip(parts), r.tls.source)
	}
	return collector{parts}
}

type collector struct{ parts []prometheus.Collector }

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, p := range c.parts {
		p.Describe(ch)
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c.parts {
		p.Collect(ch)
	}
}

// proposed counts what became of a proposal.
func (m *metrics) proposed(begun time.Time, err error) {
	switch {
	case err == nil:
		m.done.Inc()
		m.propose.Observe(time.Since(begun).Seconds())
	case errors.Is(err, ErrOutcomeUnknown):
		m.unknown.Inc()
	default:
		m.notDone.Inc()
	}
}

func (s *pendingSet) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// uncommitted remembers when the leader wrote entries that are not committed yet. Loop only.
type uncommitted []struct {
	index uint64
	since time.Time
}

func (u *uncommitted) wrote(index uint64, now time.Time) {
	*u = append(*u, struct {
		index uint64
		since time.Time
	}{index, now})
}

// committed observes those up to index.
func (u *uncommitted) committed(index uint64, h prometheus.Histogram) {
	n := 0
	for ; n < len(*u) && (*u)[n].index <= index; n++ {
		h.Observe(time.Since((*u)[n].since).Seconds())
	}
	*u = append((*u)[:0], (*u)[n:]...)
}
