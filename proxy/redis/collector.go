package redis

import "github.com/prometheus/client_golang/prometheus"

// collector shows what a Server has counted to Prometheus.
type collector struct{ srv *Server }

// Collector returns the metrics of the server.
func (s *Server) Collector() prometheus.Collector { return collector{s} }

var (
	descClients = prometheus.NewDesc("nexus_redis_clients", "Redis clients that are connected.", nil, nil)
	descBlocked = prometheus.NewDesc("nexus_redis_clients_blocked", "Redis clients that wait in a blocking command.", nil, nil)
	descRefused = prometheus.NewDesc("nexus_redis_clients_refused_total", "Redis clients that found no room.", nil, nil)
	descPanics  = prometheus.NewDesc("nexus_redis_session_panics_total", "Sessions that a bug ended.", nil, nil)
	descErrors  = prometheus.NewDesc("nexus_redis_errors_total",
		"Proposals that were not executed, or of which that is not known, and reads that failed, because of the cluster.",
		[]string{"outcome"}, nil)
	descCommands = prometheus.NewDesc("nexus_redis_commands_total", "Commands of clients, refused ones included.",
		[]string{"command"}, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descClients, descBlocked, descRefused, descPanics, descErrors, descCommands} {
		ch <- d
	}
	c.srv.metrics.reads.Describe(ch)
	c.srv.metrics.writes.Describe(ch)
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	st := c.srv.Stats()
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	ch <- prometheus.MustNewConstMetric(descClients, prometheus.GaugeValue, float64(st.Clients))
	ch <- prometheus.MustNewConstMetric(descBlocked, prometheus.GaugeValue, float64(st.Blocked))
	counter(descRefused, st.Refused)
	counter(descPanics, st.Panics)
	counter(descErrors, st.NotDone, "not_done")
	counter(descErrors, st.Unknown, "unknown")
	counter(descErrors, st.Failed, "failed")
	for i, name := range c.srv.table.Names() {
		// A command that nobody has used has no series.
		if n := c.srv.metrics.commands[i].Load(); n > 0 {
			counter(descCommands, n, name)
		}
	}
	c.srv.metrics.reads.Collect(ch)
	c.srv.metrics.writes.Collect(ch)
}
