package mysql

import "time"

const (
	// crowd is how many commits have to be under way for the processors to count more than the moment that a proposal takes.
	crowd = 8
	// enough commits in one proposal are not kept waiting for more.
	enough = 2 * crowd
	// Where the others are far away a proposal takes leastFlight or more, and much longer than what this machine does for a
	// transaction: nobody waits for its outcome then.
	leastFlight = 20 * time.Millisecond
	mostFlight  = 100 * time.Millisecond
	farTakes    = 8
	// mostMissed bounds how rarely those are waited for who do not come back: after each thousandth proposal.
	mostMissed = 10
)

// reunion makes one group of commits of two that take turns. Clients that ask again when they are answered fall apart into
// two: one is on its way while the other is executed, and each makes entries of the log of its own, which cost what entries cost
// and not what is in them. So a crowd that is complete waits for the proposal that is on its way, and those who were in that are
// given the time to come back.
type reunion struct {
	away   int           // members of proposals that are on their way
	takes  time.Duration // a transaction, from its announcement on, smoothed
	flight time.Duration // what the last proposal took
	want   int           // how many are to come together; 0: nobody is waited for
	missed int           // how often in a row they did not
	rest   int           // proposals after which nobody is waited for
}

// came notes for how long a transaction was announced.
func (r *reunion) came(took time.Duration) { r.takes += (took - r.takes) / 16 }

func (r *reunion) longFlight() time.Duration {
	return min(max(leastFlight, farTakes*r.takes), mostFlight)
}

// leave notes a proposal of so many members.
func (r *reunion) leave(members int) {
	r.away += members
	if r.want > 0 && members >= r.want {
		r.missed = 0
	}
	r.want = 0
}

// awaits reports whether so many who are there, and nobody else about to come, are to wait for others.
func (r *reunion) awaits(members int) bool {
	if members >= enough {
		return false
	}
	if r.away == 0 {
		return members < r.want
	}
	return r.rest == 0 && r.flight < r.longFlight() && members+r.away >= crowd
}

// land notes the outcome of a proposal of so many members, when so many others are waiting.
func (r *reunion) land(members, waiting int, took time.Duration) {
	r.away -= members
	r.flight = took
	switch {
	case r.away > 0:
	case r.rest > 0:
		r.rest--
	case members+waiting >= crowd:
		r.want = (members + waiting) * 3 / 4 // some go, read first, or come late
	}
}

// miss notes that no more than so many have come in time.
func (r *reunion) miss(members int) {
	if r.want == 0 || members >= r.want {
		return
	}
	r.missed = min(r.missed+1, mostMissed)
	r.rest = 1<<r.missed - 1
}
