package raft

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/raft/v3/tracker"
)

// runLoop owns the raft state machine and the log. It never waits for the backend or for a peer, only for the disk.
func (r *Replicator) runLoop(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Tick)
	defer ticker.Stop()
	var m mail
	var y yielding
	for {
		if !r.node.HasReady() {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.tick()
			case <-r.mail.signal:
				y.yield()
			}
		}
		// While there is always something ready the ticks must not starve.
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.tick()
		default:
		}
		if err := r.turn(&m); err != nil {
			r.fail(err)
			return
		}
	}
}

const (
	// longYield is what letting others run may cost the loop; behind thousands of them it would be late for everything.
	longYield = 2 * time.Millisecond
	// dueYields are the turns without it then.
	dueYields = 32
)

// yielding lets the sessions that are ready run before the loop, so that what they propose goes together.
type yielding struct{ without int }

func (y *yielding) yield() {
	if y.without > 0 {
		y.without--
		return
	}
	begun := time.Now()
	runtime.Gosched()
	if time.Since(begun) > longYield {
		y.without = dueYields
	}
}

// turn takes what has come, and does what follows from it.
func (r *Replicator) turn(m *mail) error {
	r.mail.take(m, r.round == nil)
	r.step(m)
	if err := r.ready(); err != nil {
		return err
	}
	r.send(nil) // what was withheld, if nothing goes with it
	return nil
}

func (r *Replicator) tick() {
	r.node.Tick()
	if r.campaign.due(r.node.BasicStatus().RaftState, r.campaignTurn) {
		// An error means that this member may not lead, and it goes on waiting.
		_ = r.node.Campaign()
	}
	r.missLeader()
	r.watchOwnBackend()
	r.tickHandOver()
	r.waits.tick()
	r.reopenLink()
	if !r.leading {
		r.progress.Store(nil)
		return
	}
	progress := make(map[uint64]uint64)
	r.node.WithProgress(func(id uint64, _ etcdraft.ProgressType, p tracker.Progress) { progress[id] = p.Match })
	r.progress.Store(&progress)
}

// step takes what has come.
func (r *Replicator) step(m *mail) {
	if len(m.messages) > 0 {
		now := r.leaseClock()
		for i := range m.messages {
			r.heard[m.messages[i].From] = now
		}
	}
	for i := range m.messages {
		if err := r.forgotten(&m.messages[i]); err != nil {
			r.fail(err)
			continue // it would panic
		}
		if r.ignores(&m.messages[i]) || r.answersByLease(&m.messages[i]) {
			continue
		}
		r.campaign.hear(&m.messages[i], r.term.Load())
		// An error means that the message is of no use, for instance from a member that was removed.
		_ = r.node.Step(m.messages[i])
	}
	for _, f := range m.calls {
		f()
	}
	r.enqueue(m.proposals)
	r.observe()
	r.sendAnswers()
	r.dispatch()
	r.startRead(m.read)
}

// ignores drops vote requests in the first election timeout after a restart: before it, this member may have promised a
// leader, by answering its heartbeat, not to take part in an election for that long (see lease).
func (r *Replicator) ignores(m *raftpb.Message) bool {
	if m.Type != raftpb.MsgVote && m.Type != raftpb.MsgPreVote {
		return false
	}
	return r.disk.existed && r.leaseClock()-r.started < r.cfg.ElectionTimeout()
}

// observe publishes what raft knows, and notices changes of leader. It runs before any message of the same step is
// sent: no one can learn of a commit before this node's own readers.
func (r *Replicator) observe() {
	status := r.node.BasicStatus()
	leading := status.RaftState == etcdraft.StateLeader
	if status.Term != r.term.Load() || status.Lead != r.leader.Load() || leading != r.leading {
		if !leading || status.Term != r.term.Load() {
			r.lease.drop()
			r.held, r.holdIndex = false, 0
			r.cutting = nil
			r.forgetWaits()
		}
		r.log.Info("raft", "role", roleName(status.RaftState), "term", status.Term, "leader", formatID(status.Lead))
	}
	if status.Lead != 0 {
		r.leaderless = leaderless{}
	}
	if r.link != nil && r.link.term != status.Term {
		r.closeLink()
	}
	r.leading = leading
	r.role.Store(uint32(status.RaftState))
	r.term.Store(status.Term)
	if before := r.leader.Swap(status.Lead); before != status.Lead {
		r.awaited.note() // a leader applies at once
		if before != 0 {
			r.formerLeader = before
		}
	}
	r.commit.Store(status.Commit)
}

// fail stops the node because going on could lose or corrupt data, or because it was removed.
func (r *Replicator) fail(err error) {
	r.failOnce.Do(func() {
		switch {
		case errors.Is(err, errUnconfirmed):
			r.log.Warn("this node was told that it was removed from the cluster, not serving any more", "err", err)
		case errors.Is(err, ErrRemoved):
			r.log.Warn("this node was removed from the cluster, not serving any more")
			r.noteRemoved()
		default:
			r.log.Error("node stops", "err", err)
		}
		cause := fmt.Errorf("%w: %w", ErrStopped, err)
		if errors.Is(err, ErrRemoved) {
			cause = removal{err}
		}
		r.cancel(cause)
		close(r.failed)
	})
}
