package redis

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// commandBounds are fewer than phaseBounds, since each command has them.
var commandBounds = []time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// commandTimes has a histogram and a count of errors for each command of the policy table, by Spec.Index. What clients
// call otherwise has none, so they cannot make series.
type commandTimes struct {
	seconds []atomic.Pointer[histogram] // nil for what nobody has used
	errors  []atomic.Uint64
}

func newCommandTimes(commands int) commandTimes {
	return commandTimes{seconds: make([]atomic.Pointer[histogram], commands), errors: make([]atomic.Uint64, commands)}
}

// took notes that n commands were answered together, after the time for which they were not blocked.
func (t *commandTimes) took(spec *policy.Spec, n int, took time.Duration) {
	h := t.seconds[spec.Index].Load()
	if h == nil {
		t.seconds[spec.Index].CompareAndSwap(nil, newHistogram(commandBounds))
		h = t.seconds[spec.Index].Load()
	}
	h.observe(n, took)
}

func (t *commandTimes) failed(spec *policy.Spec) { t.errors[spec.Index].Add(1) }

// tookWrites notes how long the writes of a phase took.
func (s *session) tookWrites(took time.Duration) {
	specs := s.writes.specs
	for first := 0; first < len(specs); {
		end := first + 1
		for end < len(specs) && specs[end] == specs[first] {
			end++
		}
		s.srv.metrics.times.took(specs[first], end-first, took)
		first = end
	}
}

// tookReads is tookWrites for reads.
func (s *session) tookReads(took time.Duration) {
	cmds := s.reads.cmds
	for first := 0; first < len(cmds); {
		end := first + 1
		for end < len(cmds) && cmds[end].spec == cmds[first].spec {
			end++
		}
		s.srv.metrics.times.took(cmds[first].spec, end-first, took)
		first = end
	}
}

// countErrors counts the replies to cmds that are errors.
func (s *session) countErrors(replies []byte, cmds []read) {
	if !bytes.HasPrefix(replies, errorMark) && !bytes.Contains(replies, errorBehind) {
		return // as good as always, and without a look at each
	}
	for i := range cmds {
		if bytes.HasPrefix(replies, errorMark) {
			s.srv.metrics.times.failed(cmds[i].spec)
			s.srv.metrics.errors.note(replies)
		}
		n, err := replyLen(replies)
		if err != nil {
			return
		}
		replies = replies[n:]
	}
}

var errorMark, errorBehind = []byte("-"), []byte("\n-")

// alone is the beginning of a command that is answered by itself.
type alone struct {
	begin   time.Time
	waited  time.Duration
	mark    int // of its reply in session.out
	flushes int
}

func (s *session) beginAlone() alone {
	return alone{begin: time.Now(), waited: s.waited, mark: len(s.out), flushes: s.flushes}
}

// endAlone notes how long the command took, without the time for which it was blocked, and whether it failed. spec is nil for a
// command that there is not.
func (s *session) endAlone(a alone, spec *policy.Spec) {
	if spec != nil {
		s.srv.metrics.times.took(spec, 1, time.Since(a.begin)-(s.waited-a.waited))
	}
	if s.flushes != a.flushes {
		a.mark = 0
	}
	if len(s.out) <= a.mark || s.out[a.mark] != '-' {
		return
	}
	s.srv.metrics.errors.note(s.out[a.mark:])
	if spec != nil {
		s.srv.metrics.times.failed(spec)
	}
}
