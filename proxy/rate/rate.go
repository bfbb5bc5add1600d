// Package rate bounds how many commands a second one client may send.
package rate

import "time"

// Limit holds up a client that sends more commands a second than it may. A second's worth may come at once. It is for one
// goroutine.
type Limit struct {
	interval time.Duration // between two commands
	// due is when the next command may come if none may come early.
	due time.Time
}

// New returns nil without a limit.
func New(perSecond int) *Limit {
	if perSecond <= 0 {
		return nil
	}
	return &Limit{interval: max(time.Second/time.Duration(perSecond), 1)}
}

// Take counts a command, and returns how long it has to wait.
func (r *Limit) Take(now time.Time) time.Duration {
	if r.due.Before(now) {
		r.due = now
	}
	wait := r.due.Add(r.interval).Sub(now) - time.Second
	r.due = r.due.Add(r.interval)
	return max(wait, 0)
}
