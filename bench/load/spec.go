package load

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/nexus-replication/nexus/bench/measure"
)

// Spec is a load.
type Spec struct {
	Clients  int     // connections
	Pipeline int     // commands that each sends before it waits for replies
	Size     int     // bytes of a value
	Keys     int     // how many there are
	Reads    float64 // the part of the commands that is GET, the rest is SET
	Zipf     bool    // some keys are asked for much more often than others, as in YCSB; else all equally
	Seed     uint64
}

// Validate says what is wrong with a Spec.
func (s *Spec) Validate() error {
	switch {
	case s.Clients < 1 || s.Pipeline < 1 || s.Keys < 1 || s.Size < 1:
		return fmt.Errorf("load with %d clients, pipelines of %d, %d keys, values of %d bytes: want at least 1 of each", s.Clients, s.Pipeline, s.Keys, s.Size)
	case s.Reads < 0 || s.Reads > 1:
		return fmt.Errorf("load with %v reads: want a part from 0 to 1", s.Reads)
	case s.Keys > maxKeys:
		return fmt.Errorf("load with %d keys: want no more than %d", s.Keys, maxKeys)
	}
	return nil
}

// Result of a load.
type Result struct {
	Ops     uint64 // that were answered, errors included
	Errors  uint64 // that were answered with an error
	First   string // the first of these
	Elapsed time.Duration
	Latency measure.Histogram
}

// patience is how long replies may take when no more is sent.
const patience = 10 * time.Second

var errNoReply = errors.New("no reply")

const (
	keyDigits = 12
	maxKeys   = 10_000_000
)

// Value is what is stored: bytes that do not compress away to nothing.
func Value(size int) []byte {
	r := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(r.IntN(26))
	}
	return b
}

// Chooser draws the commands of a Spec.
type Chooser struct {
	spec  Spec
	rand  *rand.Rand
	drawn []uint32 // keys as the distribution of Zipf has them; nil for equal chances
}

// zipfExponent is that of YCSB.
const zipfExponent = 0.99

// NewChooser returns one that draws the same for the same Spec.
func NewChooser(s Spec) *Chooser {
	c := &Chooser{spec: s, rand: rand.New(rand.NewPCG(s.Seed, 1))}
	if !s.Zipf {
		return c
	}
	sums, sum := make([]float64, s.Keys), 0.0
	for i := range sums {
		sum += 1 / math.Pow(float64(i+1), zipfExponent)
		sums[i] = sum
	}
	order := c.rand.Perm(s.Keys) // the popular ones stand anywhere
	c.drawn = make([]uint32, 1<<16)
	for i := range c.drawn {
		c.drawn[i] = uint32(order[min(sort.SearchFloat64s(sums, c.rand.Float64()*sum), s.Keys-1)])
	}
	return c
}

// Read draws whether the next command is a GET.
func (c *Chooser) Read() bool {
	return c.spec.Reads >= 1 || c.spec.Reads > 0 && c.rand.Float64() < c.spec.Reads
}

// Key draws the number of a key.
func (c *Chooser) Key() int {
	if c.drawn != nil {
		return int(c.drawn[c.rand.IntN(len(c.drawn))])
	}
	return c.rand.IntN(c.spec.Keys)
}
