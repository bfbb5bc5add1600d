package redis

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Stats counts since the start of the process.
type Stats struct {
	Entries     uint64 // applied
	Commands    uint64 // ops applied
	Execs       uint64 // transactions
	Reconnects  uint64 // of the connection that applies
	Reads       uint64 // Read and Stream calls
	Deadlines   uint64 // keys in the index now
	Expired     uint64 // keys that were deleted because they were due
	Evicted     uint64 // keys that made room for others
	Subscribers uint64 // connections for subscribers now
}

type counters struct {
	entries, commands, execs, reconnects, reads, evicted atomic.Uint64
}

// Stats returns the counters.
func (b *Backend) Stats() Stats {
	return Stats{
		Entries:     b.stats.entries.Load(),
		Commands:    b.stats.commands.Load(),
		Execs:       b.stats.execs.Load(),
		Reconnects:  b.stats.reconnects.Load(),
		Reads:       b.stats.reads.Load(),
		Deadlines:   uint64(b.size.Load()),
		Expired:     b.Expired(),
		Evicted:     b.stats.evicted.Load(),
		Subscribers: uint64(b.subscribers.count()),
	}
}

// Expired returns how many keys this node has deleted because their time had come, since the start of the process.
func (b *Backend) Expired() uint64 { return uint64(b.gone.Load()) }

// MarkerWrites returns how often the position was written since the start of the process, which the server counts among its
// changes.
func (b *Backend) MarkerWrites() uint64 { return b.stats.execs.Load() }

// Collector returns the metrics of the backend.
func (b *Backend) Collector() prometheus.Collector { return collector{b} }

type collector struct{ b *Backend }

var (
	descUp         = prometheus.NewDesc("nexus_backend_up", "1 while the redis-server can be used, as far as was noticed.", nil, nil)
	descEntries    = prometheus.NewDesc("nexus_backend_entries_total", "Log entries applied to the redis-server.", nil, nil)
	descCommands   = prometheus.NewDesc("nexus_backend_commands_total", "Commands and transactions applied to the redis-server.", nil, nil)
	descExecs      = prometheus.NewDesc("nexus_backend_execs_total", "Transactions in which entries were applied to the redis-server.", nil, nil)
	descReconnects = prometheus.NewDesc("nexus_backend_reconnects_total", "How often the connection for entries was made again.", nil, nil)
	descReads      = prometheus.NewDesc("nexus_backend_reads_total", "Requests with reads to the redis-server.", nil, nil)
	descExpired    = prometheus.NewDesc("nexus_backend_expired_total", "Keys that were deleted because their time had come.", nil, nil)
	descEvicted    = prometheus.NewDesc("nexus_backend_evicted_total", "Keys that were deleted to keep below maxmemory.", nil, nil)
	descDeadlines  = prometheus.NewDesc("nexus_backend_deadlines", "Keys that have an expiry time.", nil, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descEntries, descCommands, descExecs, descReconnects, descReads, descExpired, descEvicted, descDeadlines} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	st := c.b.Stats()
	up := 1.0
	if c.b.Healthy() != nil {
		up = 0
	}
	ch <- prometheus.MustNewConstMetric(descUp, prometheus.GaugeValue, up)
	ch <- prometheus.MustNewConstMetric(descDeadlines, prometheus.GaugeValue, float64(st.Deadlines))
	for _, m := range []struct {
		desc  *prometheus.Desc
		value uint64
	}{
		{descEntries, st.Entries}, {descCommands, st.Commands}, {descExecs, st.Execs}, {descReconnects, st.Reconnects},
		{descReads, st.Reads}, {descExpired, st.Expired}, {descEvicted, st.Evicted},
	} {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.value))
	}
}
