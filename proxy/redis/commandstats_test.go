package redis

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// What INFO commandstats and errorstats tell of what a client has sent is what it tells on a redis-server.
func TestCommandStatsAreTheServers(t *testing.T) {
	lines := []string{
		"CONFIG RESETSTAT", "SET k v", "SET k v", "GET k", "GET k", "EXPIRE k 0", "INCR k", "SADD k x", "GET", "SET k", "FOO bar",
		"MULTI", "SET a 1", "SADD a x", "GET", "EXEC", "MULTI", "SET a 1", "SADD a x", "CLIENT ID", "EXEC", "EXEC", "SPOP nothing", "XADD s * a b",
		"PING", "CLIENT ID", "AUTH wrong", "LPUSH l x", "BRPOP l 0", "EVAL_RO nonsense 0", "TTL a", "CONFIG GET hz", "MGET", "DISCARD",
	}
	stats := func(addr string) map[string]string {
		c := dial(t, addr)
		for _, line := range lines {
			c.cmd(line)
		}
		times := regexp.MustCompile(`,usec=\d+,usec_per_call=[\d.]+`)
		found := make(map[string]string)
		for _, line := range strings.Split(times.ReplaceAllString(c.cmd("INFO commandstats")+c.cmd("INFO errorstats"), ""), "\r\n") {
			if name, counts, ok := strings.Cut(line, ":"); ok {
				found[name] = counts
			}
		}
		return found
	}
	got, want := stats(startProxy(t).addr), stats(startRedis(t))
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s, want %s", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s, and the server has none", name, got[name])
		}
	}
}

func TestLatencyHistogram(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET k v")
	want(t, c.cmd("CONFIG RESETSTAT"), replyOK)
	c.cmd("SET k v")
	c.cmd("SET k v")
	c.cmd("CLIENT ID")
	all := c.cmd("LATENCY HISTOGRAM")
	if !strings.HasPrefix(all, "*6\r\n$9\r\nclient|id\r\n") {
		t.Errorf("all: %q", all)
	}
	set := c.cmd("LATENCY HISTOGRAM nonsense set get")
	if !strings.HasPrefix(set, "*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n*") || !strings.HasSuffix(set, ":2\r\n") {
		t.Errorf("SET: %q", set)
	}
	if client := c.cmd("LATENCY HISTOGRAM client"); !strings.HasPrefix(client, "*2\r\n$9\r\nclient|id\r\n") {
		t.Errorf("CLIENT: %q", client)
	}
	want(t, c.cmd("LATENCY HISTOGRAM nonsense"), "*0\r\n")
}

func TestLatencyStats(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.cmd("CONFIG RESETSTAT"), replyOK)
	for range 20 {
		c.cmd("CLIENT ID")
	}
	if text := c.cmd("INFO latencystats"); !regexp.MustCompile(`\r\nlatency_percentiles_usec_client\|id:p50=[\d.]+,p99=[\d.]+,p99\.9=[\d.]+\r\n`).MatchString(text) {
		t.Errorf("INFO latencystats: %q", text)
	}
	want(t, c.cmd("CONFIG RESETSTAT"), replyOK)
	if text := c.cmd("INFO latencystats"); strings.Contains(text, "client|id") {
		t.Errorf("after CONFIG RESETSTAT: %q", text)
	}
}

func TestPercentile(t *testing.T) {
	c := commandCounts{slower: make([]uint64, len(commandBounds)+1)}
	c.slower[0], c.slower[3], c.slower[len(commandBounds)] = 50, 49, 1
	for p, want := range map[float64]time.Duration{
		25: commandBounds[0] / 2, 50: commandBounds[0], 99: commandBounds[3], 100: commandBounds[len(commandBounds)-1],
	} {
		if got := c.percentile(p); got != want {
			t.Errorf("%v%%: %v, want %v", p, got, want)
		}
	}
}

// What clients make up is counted as by a redis-server, and remembered no longer than that.
func TestErrorsThatScriptsMakeUp(t *testing.T) {
	words := []string{strings.Repeat("A", 29), strings.Repeat("B", 30), strings.Repeat("C", 31), strings.Repeat("D", 1000), "E"}
	stats := func(addr string) string {
		c := dial(t, addr)
		c.cmd("CONFIG RESETSTAT")
		for _, word := range words {
			c.do("EVAL", "return redis.error_reply('"+word+" and more')", "0")
			c.do("EVAL", "return redis.error_reply('"+word+"')", "0")
		}
		_, lines, _ := strings.Cut(c.cmd("INFO errorstats"), "# Errorstats")
		return lines
	}
	p := startProxy(t)
	if got, want := stats(p.addr), stats(startRedis(t)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e := &p.server.metrics.errors
	e.mu.Lock()
	defer e.mu.Unlock()
	for word := range e.counts {
		if len(word) >= errorWordBytes {
			t.Errorf("a word of %d bytes is remembered", len(word))
		}
	}
}
