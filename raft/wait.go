package raft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The two highest bits of a group's id say what it is.
const (
	// idWaits marks a command that may have to wait, and each attempt of it.
	idWaits uint64 = 1 << 62
	// idWaitEnd marks the end of the wait of the command with the same id but for these bits.
	idWaitEnd uint64 = 1 << 63
	kindMask         = idWaits | idWaitEnd
)

func (g *group) waits() bool          { return g.id&kindMask == idWaits }
func (g *groupRef) waits() bool       { return g.id&kindMask == idWaits }
func (p *proposal) isOfWait() bool    { return p.id&kindMask != 0 }
func (r *Replicator) newID() uint64   { return r.nextProposal.Add(1) &^ kindMask }
func (p *proposal) isEnding() bool    { return p.wait != nil && p.wait.ending.Load() }
func nameOf(origin, id uint64) waitID { return waitID{origin: origin, id: id &^ kindMask} }
func (g *groupRef) reply(e *Entry) Reply {
	return Reply{Data: e.Commands[g.from].Reply, Err: e.Commands[g.from].Err}
}

// wait is the part of a proposal that may have to wait.
type wait struct {
	cmd    []byte        // as it was given to Wait
	parked chan struct{} // closed when it is known to wait
	park   sync.Once
	lost   chan struct{} // closed when it is not known any more
	lose1  sync.Once
	again  bool      // it was parked before
	link   *waitLink // by which the leader knows that this node still waits; nil on the leader. Owned by the loop.
	// ending is set before the end of the wait is proposed: after that the proposal is not offered again.
	ending atomic.Bool
}

// lose makes Wait ask again. It may be called on nil, for a proposal that does not wait.
func (w *wait) lose() {
	if w != nil {
		w.lose1.Do(func() { close(w.lost) })
	}
}

// errWaitLost means that the leader may not know any more of one that waits.
var errWaitLost = errors.New("the wait was lost")

// Wait replicates cmd, which may have to wait for other commands, and returns when it was served: when an attempt of it
// was committed and applied to this node's backend, and Config.Sequencer, a Waiting, says that the reply answers it. The
// outcome has that answer. Those who wait for one topic, on whatever members, are served in the order in which they came
// to the leader, and those of one member in the order of arrived, which is as for ProposeArrived. queued is called once, unless
// cmd is refused at once: what arrives and is proposed after that on this node stands behind cmd.
// parked is called once, before Wait returns, if cmd has to wait.
//
// Config.Timeout bounds the time until it is known whether cmd has to wait; after that only ctx does. When ctx ends, the
// wait is ended through the log: Wait returns either the outcome, or ErrWaitEnded, and then cmd never was nor will be
// executed. Otherwise it is as Propose.
//
// When the leader is lost, the next one is asked. The order among those who waited may be another then.
func (r *Replicator) Wait(ctx context.Context, arrived time.Time, cmd []byte, queued, parked func()) (Outcome, error) {
	if r.waits.rules == nil {
		return Outcome{}, fmt.Errorf("%w: the Sequencer of this node does not know of commands that wait", ErrNotDone)
	}
	cmd = bytes.Clone(cmd) // the leader may keep it for longer than the caller does
	for {
		outcome, err := r.waitOnce(ctx, r.arrivalOf(arrived), cmd, queued, &parked)
		queued = func() {}
		if !errors.Is(err, errWaitLost) {
			return outcome, err
		}
		r.log.Debug("wait again", "err", err)
	}
}

func (r *Replicator) waitOnce(ctx context.Context, arrived arrival, cmd []byte, queued func(), parked *func()) (Outcome, error) {
	if err := r.refusal(); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrNotDone, err)
	}
	p := &proposal{
		group:   group{origin: r.identity.ID, id: r.newID() | idWaits, cmds: []Command{{Data: cmd}}},
		done:    make(chan struct{}, 1),
		arrived: arrived,
		wait:    &wait{cmd: cmd, again: *parked == nil, parked: make(chan struct{}), lost: make(chan struct{})},
	}
	if err := r.admit(p); err != nil {
		return Outcome{}, err
	}
	defer r.pendingBytes.Add(-int64(p.bytes))

	r.mail.propose(p)
	queued()
	timer := time.NewTimer(r.cfg.Timeout)
	defer timer.Stop()
	known := p.wait.parked
	for {
		select {
		case <-p.done:
			return p.outcome, p.failed
		case <-known:
			known = nil
			timer.Stop()
			if *parked != nil {
				(*parked)()
				*parked = nil
			}
		case <-timer.C:
			if r.storeIsBusy() {
				timer.Reset(r.cfg.Timeout)
				continue
			}
			return r.endWait(p, fmt.Errorf("%w: %w", ErrNotDone, r.unanswered()))
		case <-ctx.Done():
			return r.endWait(p, fmt.Errorf("%w: %w", ErrWaitEnded, context.Cause(ctx)))
		case <-p.wait.lost:
			return r.endWait(p, errWaitLost)
		case <-r.ctx.Done():
			return r.giveUp(p, r.stopCause())
		}
	}
}

// endWait ends the wait for p by an entry of its own, which tells for certain: what was not served before it never is.
// It returns the outcome, or why.
func (r *Replicator) endWait(p *proposal, why error) (Outcome, error) {
	p.wait.ending.Store(true)
	for {
		switch state := p.state.Load(); state {
		case proposalQueued:
			if p.state.CompareAndSwap(state, proposalAbandoned) {
				return Outcome{}, why
			}
		case proposalOffered:
			if err := r.proposeWaitEnd(p); err != nil {
				// The leader may take this node for waiting still.
				r.mail.call(func() { r.giveUpWait(p) })
				// Neither why nor err holds for p, which may have been served: they are told, and are not its errors.
				return r.giveUp(p, errors.New(fmt.Sprint("end the wait (", why, "): ", err)))
			}
			if p.state.CompareAndSwap(proposalOffered, proposalAbandoned) {
				r.pending.take(p.id)
				return Outcome{}, why
			}
		default:
			<-p.done
			if errors.Is(p.failed, ErrWaitEnded) {
				return Outcome{}, why
			}
			return p.outcome, p.failed
		}
	}
}

func (r *Replicator) proposeWaitEnd(p *proposal) error {
	end := &proposal{
		group: group{origin: p.origin, id: p.id&^kindMask | idWaitEnd},
		done:  make(chan struct{}, 1),
	}
	end.bytes = end.size()
	_, err := r.settleWithin(context.Background(), end)
	return err
}

// settleEnding settles a proposal that was lost with its leader while its wait was being ended: it is in no log.
func (r *Replicator) settleEnding(p *proposal) {
	if p.state.CompareAndSwap(proposalOffered, proposalDone) {
		p.failed = ErrWaitEnded
		p.done <- struct{}{}
	}
}

// completeWait takes the reply to an attempt: the outcome of the Wait call, or the news that it has to wait.
func (r *Replicator) completeWait(id uint64, outcome Outcome) {
	p := r.pending.get(id)
	if p == nil || p.wait == nil || len(outcome.Replies) != 1 {
		return
	}
	reply := &outcome.Replies[0]
	if reply.Err == nil {
		answer, served := r.waits.rules.Answer(p.wait.cmd, reply.Data)
		if !served {
			p.wait.park.Do(func() { close(p.wait.parked) })
			return
		}
		reply.Data = answer
	}
	r.complete(id, outcome)
}

// land tells the loop what became of the attempts in the entries of run up to last, before anyone who waits is told.
func (a *applyLoop) land(run applyRun, last uint64) {
	type attempt struct {
		id    waitID
		reply Reply
	}
	var attempts []attempt
	for i := range run.entries {
		e := &run.entries[i]
		if e.Index > last || e.Index <= a.highest {
			continue
		}
		for j := range run.groups[i] {
			if g := &run.groups[i][j]; g.waits() && g.to == g.from+1 {
				attempts = append(attempts, attempt{nameOf(g.origin, g.id), g.reply(e)})
			}
		}
	}
	if len(attempts) == 0 {
		return
	}
	r := a.r
	r.mail.call(func() {
		for _, at := range attempts {
			r.landed(at.id, at.reply)
		}
	})
}

// landed takes the outcome of an attempt. Loop only.
func (r *Replicator) landed(id waitID, reply Reply) {
	if r.waits.landed(id, reply) || id.origin == r.identity.ID {
		return
	}
	// Whether it still waits only its own node knows.
	for _, link := range r.links {
		if link.origin == id.origin {
			r.dropLink(link)
		}
	}
}

// arrange puts batch, whose commands were sequenced to cmds, into the groups of an entry: with it, attempts of those who
// wait for what it brings, and without those who have to wait.
func (r *Replicator) arrange(stamp int64, batch []*proposal, cmds []Command) []group {
	q := r.waits
	q.begin(stamp, r.groups)
	at := 0
	for _, p := range batch {
		own := cmds[at : at+len(p.cmds)]
		at += len(p.cmds)
		switch p.id & kindMask {
		case idWaits:
			if len(own) == 1 {
				q.arrive(nameOf(p.origin, p.id), p.cmds[0].Data, own[0].Data, r.links[p.link], p.arrived)
			}
		case idWaitEnd:
			q.end(nameOf(p.origin, p.id), p.verdict != nil)
			q.groups = append(q.groups, p.group)
		default:
			q.command(p.group, own)
		}
	}
	return q.groups
}

// forgetWaits is for a node that does not lead any more, or does not know what became of what it led. The nodes whose
// clients wait find out by the term or by their links. Loop only.
func (r *Replicator) forgetWaits() {
	r.waits.clear()
	for _, link := range r.links {
		r.dropLink(link)
	}
}

// giveUpWait is for a wait whose end could not be proposed. Loop only.
func (r *Replicator) giveUpWait(p *proposal) {
	if p.wait.link == nil {
		r.waits.end(nameOf(p.origin, p.id), false)
		return
	}
	if p.wait.link == r.link {
		r.link.cancel()
	}
}
