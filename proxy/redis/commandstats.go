package redis

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// commandStats are what INFO commandstats and LATENCY HISTOGRAM tell: of the commands of the clients of this node. They are
// made of what commandTimes has, and count from the last CONFIG RESETSTAT; the rest is counted here, by Spec.Index.
type commandStats struct {
	// queued were executed in a transaction, which has the time.
	queued []atomic.Uint64
	// rejected were not executed; timed are those of them that have a time all the same.
	rejected, timed []atomic.Uint64

	mu   sync.Mutex
	base []commandCounts // what had been counted at the last reset; nil before the first
}

// commandCounts are the counts of one command.
type commandCounts struct {
	calls, rejected, failed uint64
	nanos                   uint64
	slower                  []uint64 // calls by the bound of commandBounds that they did not exceed
}

func newCommandStats(commands int) commandStats {
	return commandStats{queued: make([]atomic.Uint64, commands), rejected: make([]atomic.Uint64, commands), timed: make([]atomic.Uint64, commands)}
}

// reject counts a command that was not executed; timed is set if its time is noted.
func (m *metrics) reject(spec *policy.Spec, timed bool) {
	if spec == nil {
		return
	}
	m.stats.rejected[spec.Index].Add(1)
	if timed {
		m.stats.timed[spec.Index].Add(1)
	} else {
		m.times.failed(spec)
	}
}

// ran counts a command that was executed in a transaction.
func (m *metrics) ran(spec *policy.Spec, failed bool) {
	m.stats.queued[spec.Index].Add(1)
	if failed {
		m.times.failed(spec)
	}
}

// counted returns what was counted since the start.
func (m *metrics) counted(index int) (c commandCounts) {
	if h := m.times.seconds[index].Load(); h != nil {
		c.slower = make([]uint64, len(h.counts))
		for i := range h.counts {
			c.slower[i] = h.counts[i].Load()
			c.calls += c.slower[i]
		}
		c.nanos = h.nanos.Load()
	}
	c.rejected = m.stats.rejected[index].Load()
	c.calls = minus(c.calls, m.stats.timed[index].Load()) + m.stats.queued[index].Load()
	c.failed = minus(m.times.errors[index].Load(), c.rejected)
	return c
}

// minus is a - b for counts that were not read in the same instant.
func minus(a, b uint64) uint64 { return a - min(a, b) }

// sinceReset returns what was counted since the last reset.
func (m *metrics) sinceReset(index int) commandCounts {
	c := m.counted(index)
	m.stats.mu.Lock()
	defer m.stats.mu.Unlock()
	if m.stats.base == nil {
		return c
	}
	b := &m.stats.base[index]
	c.calls, c.rejected, c.failed, c.nanos = minus(c.calls, b.calls), minus(c.rejected, b.rejected), minus(c.failed, b.failed), minus(c.nanos, b.nanos)
	for i := range b.slower {
		c.slower[i] = minus(c.slower[i], b.slower[i])
	}
	return c
}

// resetStats begins to count anew.
func (m *metrics) resetStats() {
	base := make([]commandCounts, len(m.stats.queued))
	for i := range base {
		base[i] = m.counted(i)
	}
	m.errors.reset()
	m.stats.mu.Lock()
	defer m.stats.mu.Unlock()
	m.stats.base = base
}

// appendCommandStats appends the lines of the section.
func (s *Server) appendCommandStats(out []byte) []byte {
	for i, name := range s.table.Names() {
		c := s.metrics.sinceReset(i)
		if c.calls+c.rejected+c.failed == 0 {
			continue
		}
		each := 0.0
		if c.calls > 0 {
			each = float64(c.nanos) / 1000 / float64(c.calls)
		}
		out = fmt.Appendf(out, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			name, c.calls, c.nanos/1000, each, c.rejected, c.failed)
	}
	return out
}

// cmdLatencyHistogram is LATENCY HISTOGRAM. The bounds are those of the node.
func (s *session) cmdLatencyHistogram(dst []byte, args [][]byte) []byte {
	wanted := make([]string, 0, len(args)-2)
	for _, a := range args[2:] {
		wanted = append(wanted, strings.ToLower(string(a)))
	}
	names := s.srv.table.Names()
	var found []int
	add := func(index int) {
		if c := s.srv.metrics.sinceReset(index); c.calls > 0 {
			found = append(found, index)
		}
	}
	for _, want := range wanted {
		if i := slices.Index(names, want); i >= 0 && s.srv.table.Spec(want) != nil {
			add(i)
			continue
		}
		for i, name := range names {
			if strings.HasPrefix(name, want+"|") {
				add(i)
			}
		}
	}
	if len(wanted) == 0 {
		for i := range names {
			add(i)
		}
	}
	dst = s.appendMap(dst, len(found))
	for _, index := range found {
		dst = s.appendHistogram(appendBulk(dst, names[index]), s.srv.metrics.sinceReset(index))
	}
	return dst
}

func (s *session) appendHistogram(dst []byte, c commandCounts) []byte {
	dst = appendInt(appendBulk(s.appendMap(dst, 2), "calls"), int64(c.calls))
	dst = appendBulk(dst, "histogram_usec")
	var bounds, counts []int64
	var sum int64
	for i, n := range c.slower {
		sum += int64(n)
		if n == 0 {
			continue
		}
		bound := time.Hour
		if i < len(commandBounds) {
			bound = commandBounds[i]
		}
		bounds, counts = append(bounds, bound.Microseconds()), append(counts, sum)
	}
	dst = s.appendMap(dst, len(bounds))
	for i := range bounds {
		dst = appendInt(appendInt(dst, bounds[i]), counts[i])
	}
	return dst
}

// countTransaction counts the commands of a transaction, of which it gets the replies.
func (m *metrics) countTransaction(t *transaction, replies []byte) {
	failures := bytes.HasPrefix(replies, errorMark) || bytes.Contains(replies, errorBehind)
	for i := range t.cmds {
		failed := false
		if failures {
			n, err := replyLen(replies)
			if err != nil {
				return
			}
			failed = replies[0] == '-'
			m.errors.note(replies)
			replies = replies[n:]
		}
		m.ran(t.cmds[i].d.Spec, failed)
	}
}
