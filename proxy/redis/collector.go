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
	descDenied  = prometheus.NewDesc("nexus_redis_denied_total", "Commands that a user may not run, and logins that failed.", nil, nil)
	descSlowed  = prometheus.NewDesc("nexus_redis_clients_slowed_total", "How often a client had to wait because it sent more commands a second than it may.", nil, nil)
	descTouched = prometheus.NewDesc("nexus_redis_transactions_touched_total", "Transactions that were not executed because a watched key had been touched.", nil, nil)
	descErrors  = prometheus.NewDesc("nexus_redis_errors_total",
		"Proposals that were not executed, or of which that is not known, and reads that failed, because of the cluster.",
		[]string{"outcome"}, nil)
	descCommands = prometheus.NewDesc("nexus_redis_commands_total", "Commands of clients, refused ones included.",
		[]string{"command"}, nil)
	descReads        = prometheus.NewDesc("nexus_redis_reads_seconds", "How long reads of clients took; those of a pipeline that go out together count once.", nil, nil)
	descWrites       = prometheus.NewDesc("nexus_redis_writes_seconds", "How long writes of clients took; those of a pipeline that go out together count once.", nil, nil)
	descTransactions = prometheus.NewDesc("nexus_redis_transactions_seconds", "How long EXEC took.", nil, nil)
	descTimes        = prometheus.NewDesc("nexus_redis_commands_seconds",
		"How long commands of clients took until they were answered, without the time for which they were blocked; a pipeline's that go out together took equally long.",
		[]string{"command"}, nil)
	descCommandErrors = prometheus.NewDesc("nexus_redis_command_errors_total", "Commands of clients that were answered with an error.",
		[]string{"command"}, nil)
	descKinds = prometheus.NewDesc("nexus_redis_commands_by_kind_total", "Commands of clients that only read, and that go through the log.",
		[]string{"kind"}, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descClients, descBlocked, descRefused, descPanics, descDenied, descSlowed, descTouched, descErrors, descCommands, descTimes, descCommandErrors, descKinds, descReads, descWrites, descTransactions} {
		ch <- d
	}
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
	counter(descDenied, st.Denied)
	counter(descSlowed, st.Slowed)
	counter(descTouched, st.Touched)
	counter(descErrors, st.NotDone, "not_done")
	counter(descErrors, st.Unknown, "unknown")
	counter(descErrors, st.Failed, "failed")
	for i, name := range c.srv.table.Names() {
		// A command that nobody has used has no series.
		if n := c.srv.metrics.commands[i].Load(); n > 0 {
			counter(descCommands, n, name)
		}
		if h := c.srv.metrics.times.seconds[i].Load(); h != nil {
			ch <- h.metric(descTimes, name)
		}
		if n := c.srv.metrics.times.errors[i].Load(); n > 0 {
			counter(descCommandErrors, n, name)
		}
	}
	var reads, writes uint64
	for _, spec := range c.srv.table.Specs() {
		n := c.srv.metrics.commands[spec.Index].Load()
		switch {
		case spec.Policy.Writes():
			writes += n
		case spec.Policy.Reads():
			reads += n
		}
	}
	counter(descKinds, reads, "read")
	counter(descKinds, writes, "write")
	ch <- c.srv.metrics.reads.metric(descReads)
	ch <- c.srv.metrics.writes.metric(descWrites)
	ch <- c.srv.metrics.transactions.metric(descTransactions)
}
