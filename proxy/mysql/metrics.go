package mysql

import (
	"github.com/prometheus/client_golang/prometheus"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
)

// Counted is what a backend counts.
type Counted interface{ Stats() appliers.Stats }

// collector asks once for each scrape.
type collector struct {
	server  *Server
	backend Counted
	metrics []metric
}

type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(Stats, appliers.Stats) float64
}

// NewCollector returns the metrics of server and of the backend behind it.
func NewCollector(server *Server, backend Counted) prometheus.Collector {
	c := &collector{server: server, backend: backend}
	add := func(kind prometheus.ValueType, name, help string, value func(Stats, appliers.Stats) float64) {
		c.metrics = append(c.metrics, metric{prometheus.NewDesc(name, help, nil, nil), kind, value})
	}
	count, gauge := prometheus.CounterValue, prometheus.GaugeValue
	add(gauge, "nexus_backend_up", "1 while the mariadbd can be used, as far as was noticed.", func(_ Stats, b appliers.Stats) float64 {
		if b.Up {
			return 1
		}
		return 0
	})
	add(gauge, "nexus_mysql_clients", "Clients that are connected, served here or relayed to the leader.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Clients) })
	add(count, "nexus_mysql_connections_total", "Clients that have connected.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Connections) })
	add(count, "nexus_mysql_reads_total", "Reads outside of transactions.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Reads) })
	add(count, "nexus_mysql_commits_total", "Transactions that were committed for clients of this node.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Commits) })
	add(count, "nexus_mysql_rollbacks_total", "Transactions that were rolled back.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Rollbacks) })
	add(count, "nexus_mysql_unknown_total", "Commits whose outcome nobody could tell the client.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Unknown) })
	add(count, "nexus_mysql_refused_total", "Statements that were refused.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Refused) })
	add(count, "nexus_mysql_clients_slowed_total", "How often a client had to wait because of -maxClientRate.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Slowed) })
	add(gauge, "nexus_mysql_open_transactions", "Transactions that clients of this node have open.", func(_ Stats, b appliers.Stats) float64 { return float64(b.Open) })
	add(count, "nexus_mysql_applied_total", "Transactions of other servers that were applied as rows.", func(_ Stats, b appliers.Stats) float64 { return float64(b.Applied) })
	add(count, "nexus_mysql_schema_changes_total", "Schema changes that were applied.", func(_ Stats, b appliers.Stats) float64 { return float64(b.SchemaChanges) })
	add(count, "nexus_mysql_beside_total", "Row events that did not come through the log: the backend differs from the others.", func(_ Stats, b appliers.Stats) float64 { return float64(b.Beside) })
	add(gauge, "nexus_mysql_untaken_variables", "Global variables of which the server does not have the value that clients have set: it is installed differently.", func(_ Stats, b appliers.Stats) float64 { return float64(b.Untaken) })
	add(gauge, "nexus_mysql_unreadable_views", "Views that the last snapshot, backup or comparison of this node left out, because the server cannot read their definitions.", func(_ Stats, b appliers.Stats) float64 { return float64(b.Unreadable) })
	add(count, "nexus_mysql_events_total", "Events that this node has executed.", func(p Stats, _ appliers.Stats) float64 { return float64(p.Events) })
	add(count, "nexus_mysql_failed_events_total", "Events that ended with an error; the log of the node tells which.", func(p Stats, _ appliers.Stats) float64 { return float64(p.FailedEvents) })
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
	c.server.times.describe(ch)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	p, b := c.server.Stats(), c.backend.Stats()
	for _, m := range c.metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(p, b))
	}
	c.server.times.collect(ch)
}
