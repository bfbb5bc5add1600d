package mysql

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// statementBuckets are bounds in seconds.
var statementBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}

// statementTimes has a histogram and a count of errors for each kind of statement, made beforehand: a look-up by label
// would cost each statement a hash.
type statementTimes struct {
	seconds []prometheus.Histogram
	errors  []prometheus.Counter
}

func newStatementTimes() statementTimes {
	var t statementTimes
	for _, k := range statement.Kinds() {
		kind := prometheus.Labels{"kind": k.String()}
		t.seconds = append(t.seconds, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nexus_mysql_statements_seconds", Help: "How long statements of clients took until they were answered; a prepared one when it is executed.",
			ConstLabels: kind, Buckets: statementBuckets,
		}))
		t.errors = append(t.errors, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nexus_mysql_statement_errors_total", Help: "Statements of clients that were answered with an error.", ConstLabels: kind,
		}))
	}
	return t
}

func (t *statementTimes) collect(ch chan<- prometheus.Metric) {
	for k := range t.seconds {
		ch <- t.seconds[k]
		ch <- t.errors[k]
	}
}

func (t *statementTimes) describe(ch chan<- *prometheus.Desc) {
	for k := range t.seconds {
		ch <- t.seconds[k].Desc()
		ch <- t.errors[k].Desc()
	}
}

// timed executes a statement of the client, whose text or command has so many bytes.
func (s *session) timed(c call, size int) (failed bool, err error) {
	return s.timedAs(c.what, size, func() (bool, error) { return s.dispatch(c) })
}

func (s *session) timedAs(what statement.Statement, size int, run func() (bool, error)) (failed bool, err error) {
	start := time.Now()
	failed, err = run()
	took := time.Since(start)
	s.server.times.seconds[what.Kind].Observe(took.Seconds())
	if failed {
		s.server.times.errors[what.Kind].Inc()
	}
	if limit := s.server.cfg.LogSlower; limit > 0 && took >= limit {
		s.logSlow(what, size, took, failed)
	}
	return failed, err
}

// logSlow writes a line about what took long: what kind of statement it was and how large, never its text. Names and
// values belong to the clients, and a log is read and kept by others; the connection's number finds the text in the
// server's own slow log.
func (s *session) logSlow(what statement.Statement, size int, took time.Duration, failed bool) {
	verb, _, _ := strings.Cut(what.Verb, " ")
	if what.Kind == statement.Refused {
		verb = "" // it may be any word of the client's, as the second one may
	}
	s.server.cfg.Logger.Warn("slow statement", "kind", what.Kind.String(), "verb", verb, "took", took.Round(time.Microsecond), "bytes", size,
		"failed", failed, "connection", s.id, "client", s.client.RemoteAddr().String())
}
