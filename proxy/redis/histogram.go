package redis

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// histogram counts times by the first bound that they do not exceed. Other than those of Prometheus it takes many of the
// same value at once, as pipelines bring them, and costs half as much.
type histogram struct {
	bounds []time.Duration
	counts []atomic.Uint64 // one more, for what exceeds all
	nanos  atomic.Uint64   // sum
}

func newHistogram(bounds []time.Duration) *histogram {
	return &histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// observe counts n times of the same length.
func (h *histogram) observe(n int, took time.Duration) {
	took = max(took, 0)
	i := 0
	for i < len(h.bounds) && took > h.bounds[i] {
		i++
	}
	h.counts[i].Add(uint64(n))
	h.nanos.Add(uint64(n) * uint64(took))
}

// metric is the histogram as Prometheus has it.
func (h *histogram) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.bounds))
	var count uint64
	for i := range h.counts {
		count += h.counts[i].Load()
		if i < len(h.bounds) {
			buckets[h.bounds[i].Seconds()] = count
		}
	}
	return prometheus.MustNewConstHistogram(desc, count, time.Duration(h.nanos.Load()).Seconds(), buckets, labels...)
}
