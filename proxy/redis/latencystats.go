package redis

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// latencyPercentiles returns what the backend is set to tell in INFO latencystats; none if it does not track latencies.
func (s *Server) latencyPercentiles() []float64 {
	reply, err := s.ask("CONFIG", "GET", "latency-tracking*")
	if err != nil {
		return nil
	}
	fields, _ := replyBulks(reply)
	values := make(map[string]string)
	for ; len(fields) >= 2; fields = fields[2:] {
		values[string(fields[0])] = string(fields[1])
	}
	if values["latency-tracking"] != "yes" {
		return nil
	}
	var percentiles []float64
	for _, field := range strings.Fields(values["latency-tracking-info-percentiles"]) {
		if p, err := strconv.ParseFloat(field, 64); err == nil {
			percentiles = append(percentiles, p)
		}
	}
	return percentiles
}

// appendLatencyStats appends the lines of the section: the same times as LATENCY HISTOGRAM, of which more is not known than
// between which bounds they lie.
func (s *Server) appendLatencyStats(out []byte) []byte {
	percentiles := s.latencyPercentiles()
	if len(percentiles) == 0 {
		return out
	}
	for i, name := range s.table.Names() {
		c := s.metrics.sinceReset(i)
		if c.timed() == 0 {
			continue
		}
		out = fmt.Appendf(out, "latency_percentiles_usec_%s:", name)
		for j, p := range percentiles {
			if j > 0 {
				out = append(out, ',')
			}
			out = fmt.Appendf(out, "p%s=%.3f", strconv.FormatFloat(p, 'f', -1, 64), float64(c.percentile(p))/float64(time.Microsecond))
		}
		out = append(out, "\r\n"...)
	}
	return out
}

// timed returns how many calls have a time.
func (c *commandCounts) timed() (n uint64) {
	for _, slower := range c.slower {
		n += slower
	}
	return n
}

// percentile returns the time that p of a hundred calls did not exceed, as if those between two bounds were spread evenly.
func (c *commandCounts) percentile(p float64) time.Duration {
	wanted := p / 100 * float64(c.timed())
	var before float64
	for i, n := range c.slower {
		if n == 0 || before+float64(n) < wanted {
			before += float64(n)
			continue
		}
		if i == len(commandBounds) {
			return commandBounds[i-1]
		}
		var low time.Duration
		if i > 0 {
			low = commandBounds[i-1]
		}
		return low + time.Duration((wanted-before)/float64(n)*float64(commandBounds[i]-low))
	}
	return commandBounds[len(commandBounds)-1]
}
