package measure

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// Buckets are linear within each power of two of nanoseconds, so that none is wider than 1/64 of what it counts.
const (
	subBits = 6
	sub     = 1 << subBits
	// powers bounds what is told apart: 2^40 ns are 18 minutes.
	powers = 40
)

// Histogram counts durations. The zero value is empty.
type Histogram struct {
	counts [(powers - subBits + 1) * sub]uint64
	total  uint64
	max    time.Duration
}

func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < sub {
		return int(v)
	}
	if v >= 1<<powers {
		v = 1<<powers - 1
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift) - sub
}

// middle of the durations that a bucket counts.
func middle(bucket int) time.Duration {
	if bucket < sub {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	low := uint64(bucket&(sub-1)+sub) << shift
	return time.Duration(low + (1<<shift)/2)
}

// Add counts n operations that took d each.
func (h *Histogram) Add(d time.Duration, n uint64) {
	h.counts[bucket(d)] += n
	h.total += n
	h.max = max(h.max, d)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile is the duration that the part q of all did not exceed, to within 1 %; 0 of an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := min(uint64(q*float64(h.total)), h.total-1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return min(middle(i), h.max)
		}
	}
	return h.max
}

// encoded is a Histogram as JSON has it: bucket and count in turns, for those that are not empty.
type encoded struct {
	Counts []uint64      `json:"counts"`
	Max    time.Duration `json:"max"`
}

// MarshalJSON keeps all that is counted, for another program.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	e := encoded{Max: h.max}
	for i, n := range h.counts {
		if n > 0 {
			e.Counts = append(e.Counts, uint64(i), n)
		}
	}
	return json.Marshal(e)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var e encoded
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	*h = Histogram{max: e.Max}
	if len(e.Counts)%2 != 0 {
		return errors.New("a histogram with a bucket that has no count")
	}
	for i := 0; i < len(e.Counts); i += 2 {
		b, n := e.Counts[i], e.Counts[i+1]
		if b >= uint64(len(h.counts)) {
			return fmt.Errorf("a histogram with a bucket %d", b)
		}
		h.counts[b] = n
		h.total += n
	}
	return nil
}
