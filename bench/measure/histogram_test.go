package measure

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsAreNarrow(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 1<<41; d += 1 + d/50 {
		b := bucket(d)
		if b < last {
			t.Fatalf("bucket(%d) = %d after %d", d, b, last)
		}
		last = b
		if d >= 1<<powers {
			continue
		}
		if off := math.Abs(float64(middle(b) - d)); off > float64(d)/sub {
			t.Fatalf("%d is counted as %d", d, middle(b))
		}
	}
	if n := len(Histogram{}.counts); last != n-1 {
		t.Errorf("the last of %d buckets is %d", n, last)
	}
}

func TestQuantile(t *testing.T) {
	var h, odd, even Histogram
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 10_001)
	for i := range all {
		all[i] = time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		half := &even
		if i%2 == 1 {
			half = &odd
		}
		half.Add(all[i], 1)
	}
	h.Merge(&odd)
	h.Merge(&even)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := h.Quantile(q); math.Abs(float64(got-want)) > 0.02*float64(want)+1 {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if h.Count() != uint64(len(all)) {
		t.Errorf("Count = %d", h.Count())
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing = %v", got)
	}
}

func TestAddMany(t *testing.T) {
	var h Histogram
	h.Add(time.Millisecond, 99)
	h.Add(time.Second, 1)
	if got := h.Quantile(0.98); got > 2*time.Millisecond {
		t.Errorf("Quantile(0.98) = %v", got)
	}
	if got := h.Quantile(0.995); got < 900*time.Millisecond || got > time.Second {
		t.Errorf("Quantile(0.995) = %v, want about 1s and no more", got)
	}
}

func TestHistogramJSON(t *testing.T) {
	var h, got Histogram
	h.Add(3*time.Millisecond, 7)
	h.Add(time.Second, 1)
	b, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil || got != h {
		t.Errorf("%s became another histogram: %v", b, err)
	}
	for _, bad := range []string{`{"counts":[1]}`, `{"counts":[1000000,1]}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("Unmarshal(%s) = nil error", bad)
		}
	}
}
