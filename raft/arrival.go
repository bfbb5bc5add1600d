package raft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// arrival is when a command came to its node, on a clock of that node's process. 0: nobody knows.
type arrival time.Duration

// arrivalOf puts a time on the clock of arrivals.
func (r *Replicator) arrivalOf(t time.Time) arrival {
	if t.IsZero() {
		return 0
	}
	return arrival(max(t.Sub(r.made), 1))
}

// farBack is how many of those before it a proposal is compared with. What came together stands close together.
const farBack = 64

// enqueue takes proposals that have come, those of this node's own callers in the order of their arrival. They are of
// callers who wait at the same time, so any order is right; this is the one that they may have seen.
func (r *Replicator) enqueue(ps []*proposal) {
	r.queue = append(r.queue, ps...)
	for at := len(r.queue) - len(ps); at < len(r.queue); at++ {
		moveByArrival(r.queue, at)
	}
}

// moveByArrival moves the proposal at a place before those that came later. The others keep their order.
func moveByArrival(queue []*proposal, at int) {
	p := queue[at]
	if !p.hasArrival() {
		return
	}
	to := at
	for i := at - 1; i >= max(at-farBack, 0); i-- {
		if !queue[i].hasArrival() {
			continue
		}
		if queue[i].arrived <= p.arrived {
			break
		}
		to = i
	}
	copy(queue[to+1:at+1], queue[to:at])
	queue[to] = p
}

// hasArrival reports whether it is known when p came to this node.
func (p *proposal) hasArrival() bool { return p.arrived > 0 && p.verdict == nil }

// headerArrivals carries, with proposals that another node hands over, when those among them came to it that may have to
// wait.
const headerArrivals = "X-Nexus-Arrivals"

// maxArrivals bounds the header. Of more at once nobody has seen the order.
const maxArrivals = 1000

// formatArrivals returns the header for those in batch that may have to wait, or "".
func formatArrivals(batch []*proposal) string {
	var b strings.Builder
	n := 0
	for _, p := range batch {
		if p.wait == nil {
			continue
		}
		if n++; n > maxArrivals {
			return ""
		}
		if n > 1 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(int64(p.arrived), 10))
	}
	return b.String()
}

// setArrivals reads the header. Without one, nobody knows.
func setArrivals(proposals []*proposal, header string) error {
	if header == "" {
		return nil
	}
	times := strings.Split(header, ",")
	for _, p := range proposals {
		if p.id&kindMask != idWaits {
			continue
		}
		if len(times) == 0 {
			return fmt.Errorf("%s: fewer than proposals", headerArrivals)
		}
		n, err := strconv.ParseInt(times[0], 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%s: bad time %q", headerArrivals, times[0])
		}
		p.arrived, times = arrival(n), times[1:]
	}
	if len(times) > 0 {
		return fmt.Errorf("%s: more than proposals", headerArrivals)
	}
	return nil
}

// place gives a new waiter its number: before the first of its node that came there later, or else behind all. Who was
// known to wait before w came to the node came before w, too.
func (q *waitQueue) place(w *waiter) {
	q.number++
	at := len(q.recent)
	if w.arrived > 0 {
		later := slices.IndexFunc(q.recent, func(o *waiter) bool { return o.link == w.link && o.arrived > w.arrived })
		if later >= 0 {
			at = later
		}
	}
	q.recent = slices.Insert(q.recent, at, w)
	last := len(q.recent) - 1
	for i := at; i < last; i++ {
		q.recent[i].number = q.recent[i+1].number
	}
	q.recent[last].number = q.number
	if len(q.recent) > farBack {
		q.recent = slices.Delete(q.recent, 0, len(q.recent)-farBack)
	}
}
