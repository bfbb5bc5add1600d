package redis

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
)

// series returns the metrics of one name by their one label.
func series(t *testing.T, srv *Server, name string) map[string]*dto.Metric {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(srv.Collector())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]*dto.Metric)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			found[m.GetLabel()[0].GetValue()] = m
		}
	}
	return found
}

// Each command is timed once, however it is executed, under a name that the server knows; what is only queued is not.
func TestCommandsAreTimedOnce(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, line := range []string{
		"SET k v", "GET k", "PING", "NOSUCHCOMMAND x", "CONFIG NOSUCH", "SPOP nothing", "COMMAND COUNT",
		"EVAL return(1) 0", "MULTI", "SET k w", "INCR n", "EXEC", "LPUSH k 1", "GET", "SHUTDOWN", "CONFIG GET save",
	} {
		c.cmd(line)
	}
	c.send(pipelineOf("SET a 1", "SET b 2", "LPUSH a 1", "GET a", "LRANGE a 0 1", "GET b"))
	for range 6 {
		c.reply()
	}
	times, errs := series(t, p.server, "nexus_redis_commands_seconds"), series(t, p.server, "nexus_redis_command_errors_total")
	want := map[string]struct{ count, errors uint64 }{
		"set": {3, 0}, "get": {4, 1}, "ping": {1, 0}, "spop": {1, 0}, "command|count": {1, 0}, "eval": {1, 0},
		"multi": {1, 0}, "exec": {1, 0}, "lpush": {2, 2}, "lrange": {1, 1}, "shutdown": {1, 1}, "config|get": {1, 0},
	}
	for name, w := range want {
		if got := times[name].GetHistogram().GetSampleCount(); got != w.count {
			t.Errorf("%s: timed %d times, want %d", name, got, w.count)
		}
		if got := uint64(errs[name].GetCounter().GetValue()); got != w.errors {
			t.Errorf("%s: %d errors, want %d", name, got, w.errors)
		}
	}
	for name := range times {
		if _, ok := want[name]; !ok {
			t.Errorf("timed as %q, want only commands that the server knows and that were executed", name)
		}
	}
}

func pipelineOf(lines ...string) []byte {
	var b []byte
	for _, line := range lines {
		b = appendRequest(b, strings.Fields(line)...)
	}
	return b
}

// A time goes into the first bucket that it fits into, and into the sum.
func TestCommandTimes(t *testing.T) {
	srv, err := New(NewConfig(), &instantLog{}, &instantBackend{})
	if err != nil {
		t.Fatal(err)
	}
	get := srv.table.Spec("get")
	for _, took := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, time.Second, time.Minute} {
		srv.metrics.times.took(get, 2, took)
	}
	h := series(t, srv, "nexus_redis_commands_seconds")["get"].GetHistogram()
	if h.GetSampleCount() != 10 || h.GetSampleSum() < 122.0004 || h.GetSampleSum() > 122.00041 {
		t.Errorf("count %d, sum %v", h.GetSampleCount(), h.GetSampleSum())
	}
	want := map[float64]uint64{.0001: 4, .00025: 6, .5: 6, 1: 8, 5: 8}
	for _, b := range h.GetBucket() {
		if n, ok := want[b.GetUpperBound()]; ok && b.GetCumulativeCount() != n {
			t.Errorf("up to %v: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), n)
		}
	}
	if len(h.GetBucket()) != len(commandBounds) {
		t.Errorf("%d buckets for %d bounds", len(h.GetBucket()), len(commandBounds))
	}
}

// A read that failed because of the cluster is an error of its command.
func TestErrorsOfTheClusterAreCounted(t *testing.T) {
	p := startProxy(t)
	p.log.readFails = func() error { return errors.New("no quorum") }
	c := dial(t, p.addr)
	c.send(pipelineOf("GET a", "GET b", "TTL a"))
	for range 3 {
		c.reply()
	}
	errs := series(t, p.server, "nexus_redis_command_errors_total")
	if errs["get"].GetCounter().GetValue() != 2 || errs["ttl"].GetCounter().GetValue() != 1 {
		t.Errorf("counted %v", errs)
	}
}

// The counters cost a plain command no allocation.
func TestTimingDoesNotAllocate(t *testing.T) {
	srv, err := New(NewConfig(), &instantLog{reply: []byte(replyOK)}, &instantBackend{replies: []byte(replyOK)})
	if err != nil {
		t.Fatal(err)
	}
	s := &session{srv: srv, conn: &guard.Conn{}, authenticated: true, seen: srv.users.Load()}
	s.reads.fn = s.readOnce
	raw := appendRequest(nil, "GET", "key")
	args, err := backend.ParseCommand(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(1000, func() {
		s.run(redconCommand(raw, args))
		s.endPhase()
		s.out = s.out[:0]
	})
	if n != 0 {
		t.Errorf("%v allocations for a GET, want none", n)
	}
}

// The log tells of what took long by its name and size, not by keys and values.
func TestSlowCommandsAreLogged(t *testing.T) {
	for _, tc := range []struct {
		limit time.Duration
		want  bool
	}{{time.Nanosecond, true}, {time.Hour, false}, {0, false}} {
		p := startProxy(t, func(cfg *Config) { cfg.LogSlower = tc.limit })
		c := dial(t, p.addr)
		c.send(pipelineOf("SET secret-key secret-value", "GET secret-key"))
		c.reply()
		c.reply()
		c.cmd("secret-command secret-argument")
		text := p.logged.String()
		if strings.Contains(text, "secret") {
			t.Errorf("the log tells what clients said: %s", text)
		}
		found := strings.Contains(text, `level=WARN msg="slow command" command=set took=`) &&
			strings.Contains(text, "arguments=2 bytes=49 pipelined=1 client=127.0.0.1:") && strings.Contains(text, "command=unknown took=")
		if found != tc.want {
			t.Errorf("slower than %v: logged is %v, want %v: %s", tc.limit, found, tc.want, text)
		}
	}
}
