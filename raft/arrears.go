package raft

import "context"

// A leader serves when it has applied what the leaders before it left. Where that takes minutes, as it may everywhere, clients wait
// for whoever is through with it first: an office that went round among those who are not would make that no sooner.

// inArrears reports whether this leader has yet to apply what was left.
func (r *Replicator) inArrears() bool { return r.appliedTerm.Load() != r.term.Load() }

// seekThrough hands the office to a member that has applied all that this leader, which is in arrears, knows of, if there is one.
// Loop only.
func (r *Replicator) seekThrough() {
	if r.seeking {
		return
	}
	r.seeking = true
	term, index := r.term.Load(), r.commit.Load()
	r.spawn(func(ctx context.Context) {
		through := r.others(ctx, func(s Status) bool { return s.Applied >= index && s.Serving })
		r.mail.call(func() {
			r.seeking = false
			if !r.leading || r.term.Load() != term || !r.inArrears() {
				return
			}
			if to := r.bestSuccessor(through); through[to] {
				r.log.Warn("handing over leadership to a member that has applied what this one has yet to", "to", r.membership.name(to), "applied", r.applied.Load(), "committed", index)
				r.startTransfer(to)
			}
		})
	})
}
