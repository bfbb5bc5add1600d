package raft

import "time"

// regrouping is what the loop knows of a crowd that it waits for after an entry. Clients that ask again when they are
// answered fall apart into two groups otherwise, or into a large and a very small one: one is on its way while the
// other is answered, and each makes entries of its own, which cost what entries cost and not what is in them. So when
// an entry is applied, those who were in it are given the time to come back, and go with those who have gathered.
type regrouping struct {
	size     int           // proposals of this node in the last entry; those of others are longer on their way
	handed   bool          // there were others, whose clients wait until their node hears of the commit
	after    uint64        // index of the entry after which the crowd was last looked at
	since    time.Duration // on leaseClock, when that was
	patience time.Duration // for how long it is waited for then
	want     int           // how many are to come together; 0: nobody is waited for
	missed   int           // how often in a row they did not
	rest     int           // entries after which nobody is waited for
}

// mostMissed bounds how rarely a crowd that does not come back is waited for: after each thousandth entry.
const mostMissed = 10

// isCrowd reports whether so many proposals, with those of the last entry, come that processors count more than the
// moment for which they wait.
func (r *Replicator) isCrowd() bool {
	return len(r.queue) >= crowd || len(r.queue)+r.regrouping.size >= 2*crowd
}

// proposed notes what was put into an entry.
func (g *regrouping) proposed(batch []*proposal) {
	g.size = 0
	for _, p := range batch {
		if p.verdict == nil {
			g.size++
		}
	}
	g.handed = g.size < len(batch)
}

// regroups reports whether what is queued waits for those who were in the entry at last, and if so, how many more are
// to come. It is asked again whenever something has come.
func (r *Replicator) regroups(last uint64) (missing int) {
	g := &r.regrouping
	if len(r.queue)+g.size < 2*crowd || last > r.applied.Load() {
		return 0
	}
	now := r.leaseClock()
	if g.after != last {
		g.begin(last, len(r.queue), now, now-r.proposedAt)
	}
	if g.want == 0 {
		return 0
	}
	if len(r.queue) >= g.want {
		g.want, g.missed = 0, 0
		return 0
	}
	left := g.patience - (now - g.since)
	if left <= 0 {
		g.want, g.missed = 0, min(g.missed+1, mostMissed)
		g.rest = 1<<g.missed - 1
		return 0
	}
	r.wakeIn(left)
	return g.want - len(r.queue)
}

// begin decides whether those are waited for who were in the entry at last, which has taken so long. It is a part of that
// for which the others wait: where processors are busy, the last ones come late, and all would be late with them.
func (g *regrouping) begin(last uint64, queued int, now, took time.Duration) {
	g.after, g.since, g.want = last, now, 0
	if g.rest > 0 {
		g.rest--
		return
	}
	g.patience = min(took/4, leastGather)
	g.want = (g.size + queued) * 3 / 4 // some go, read first, or come late
}
