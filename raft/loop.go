package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/raft/v3/tracker"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

// runLoop owns the raft state machine and the log. It never waits for the backend or for a peer, only for the disk.
func (r *Replicator) runLoop(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Tick)
	defer ticker.Stop()
	var m mail
	for {
		if !r.node.HasReady() {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.tick()
			case <-r.mail.signal:
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

// turn takes what has come, and does what follows from it.
func (r *Replicator) turn(m *mail) error {
	r.mail.take(m, r.round == nil)
	r.step(m)
	return r.ready()
}

func (r *Replicator) tick() {
	r.node.Tick()
	if r.campaign.due(r.node.BasicStatus().RaftState, r.campaignTurn) {
		// An error means that this member may not lead, and it goes on waiting.
		_ = r.node.Campaign()
	}
	r.leaderless.tick(r.leader.Load(), r.leaseClock(), max(leaderGrace*r.cfg.ElectionTimeout(), leastGrace))
	r.watchOwnBackend()
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

// watchOwnBackend hands over the office when there is something to apply and nothing was for too long: a backend that
// hangs is silent for long before that counts as an error.
func (r *Replicator) watchOwnBackend() {
	applied := r.applied.Load()
	if b, ok := r.cfg.Store.(Busier); ok && b.Busy() {
		r.appliedBefore, r.appliedAt = applied, r.leaseClock()
		return
	}
	if !r.leading || applied >= r.commit.Load() || applied != r.appliedBefore {
		r.appliedBefore, r.appliedAt = applied, r.leaseClock()
		return
	}
	if r.leaseClock()-r.appliedAt > applyStall {
		r.appliedAt = r.leaseClock()
		r.log.Warn("backend applies nothing", "applied", applied, "committed", r.commit.Load())
		r.handOver()
	}
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
		if r.ignores(&m.messages[i]) {
			continue
		}
		r.campaign.hear(&m.messages[i], r.term.Load())
		// An error means that the message is of no use, for instance from a member that was removed.
		_ = r.node.Step(m.messages[i])
	}
	for _, f := range m.calls {
		f()
	}
	r.queue = append(r.queue, m.proposals...)
	r.observe()
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
	r.leader.Store(status.Lead)
	r.commit.Store(status.Commit)
}

// ready handles what raft wants done, in the order that its correctness rests on: the log before the answers of a
// follower, membership before the next election, the backend only after the log.
func (r *Replicator) ready() error {
	if !r.node.HasReady() {
		return nil
	}
	rd := r.node.Ready()
	r.observe()
	leads := r.leading
	r.timeCommits(leads, rd.Entries)
	changes := changesMembers(rd.CommittedEntries)
	// A leader may send while its own disk still writes (Ongaro's thesis, 10.2.1): its acknowledgement to itself counts
	// only in the next step, after save. But raft lets the only voter commit at once, and learners would hear of it.
	saved := len(rd.Entries) == 0 || r.commit.Load() < rd.Entries[0].Index // all that is committed
	early := leads && !changes && saved
	if early {
		r.send(rd.Messages)
	}
	// Entries that are durable here already need not wait for this write.
	if n := len(rd.CommittedEntries); n > 0 && saved {
		r.committed.raise(rd.CommittedEntries[n-1].Index)
	}
	failpoint.Hit("raft.before-save")
	if !etcdraft.IsEmptySnap(rd.Snapshot) {
		if err := r.installSnapshot(rd.Snapshot, rd.HardState); err != nil {
			return err
		}
	}
	if err := r.disk.save(rd.HardState, rd.Entries); err != nil {
		return err
	}
	r.view.saved()
	// The log may lose a commit index that was saved alone in a crash, because the members tell it again. But who was
	// removed tells nothing.
	if changes {
		if err := r.disk.sync(); err != nil {
			return err
		}
	}
	if leads && !early {
		r.send(rd.Messages)
	}
	failpoint.Hit("raft.after-save")
	if n := len(rd.Entries); n > 0 && r.held {
		r.held, r.holdIndex = false, rd.Entries[n-1].Index
	}
	for i := range rd.CommittedEntries {
		if err := r.applyMembership(&rd.CommittedEntries[i]); err != nil {
			return err
		}
	}
	if !leads {
		r.send(rd.Messages)
	}
	if !etcdraft.IsEmptySnap(rd.Snapshot) {
		r.committed.raise(rd.Snapshot.Metadata.Index)
	}
	if n := len(rd.CommittedEntries); n > 0 {
		r.committed.raise(rd.CommittedEntries[n-1].Index)
	}
	if n := len(rd.ReadStates); n > 0 {
		for _, rs := range rd.ReadStates {
			r.finishRead(rs.RequestCtx, rs.Index)
		}
	}
	r.node.Advance(rd)
	return nil
}

// timeCommits measures how long the leader's entries take to be committed.
func (r *Replicator) timeCommits(leads bool, entries []raftpb.Entry) {
	if !leads {
		r.uncommitted = nil
		return
	}
	r.uncommitted.committed(r.commit.Load(), r.metrics.commit)
	if n := len(entries); n > 0 {
		r.uncommitted.wrote(entries[n-1].Index, time.Now())
	}
}

// dispatch moves queued proposals: into the log on the leader, to the leader elsewhere.
func (r *Replicator) dispatch() {
	r.mail.gather(false)
	if len(r.queue) == 0 && !r.waits.isDue() {
		return
	}
	if !r.leading {
		r.forwardQueue()
		return
	}
	// A new leader may sequence only when it has applied all that earlier leaders left: its backend and what is
	// derived from it would lag behind the log otherwise.
	if r.appliedTerm.Load() != r.term.Load() {
		r.refuseHandedStale()
		return
	}
	if r.commit.Load()-min(r.commit.Load(), r.applied.Load()) > r.cfg.MaxApplyLag {
		r.lagging.Store(true)
		return
	}
	if r.held || r.applied.Load() < r.holdIndex {
		r.lagging.Store(true)
		return
	}
	if r.gathers() {
		r.mail.gather(true)
		return
	}
	for (len(r.queue) > 0 || r.waits.isDue()) && !r.held && r.proposeBatch() {
	}
}

// refuseHandedStale answers for proposals of other nodes that were meant for an earlier term.
func (r *Replicator) refuseHandedStale() {
	kept := r.queue[:0]
	for _, p := range r.queue {
		if p.verdict != nil && p.handedTerm != r.term.Load() {
			p.refuse()
			continue
		}
		kept = append(kept, p)
	}
	clear(r.queue[len(kept):])
	r.queue = kept
}

// proposeBatch puts the head of the queue into one entry. False: raft does not take any now.
func (r *Replicator) proposeBatch() bool {
	batch, rest := r.takeBatch()
	if len(batch) == 0 && !r.waits.isDue() {
		r.dropQueued(rest)
		return true
	}
	stamp := max(r.wallClock().UnixMilli(), r.disk.lastStamp)
	groups, hold := r.sequence(stamp, batch)
	// With nothing but commands that have to wait there is no entry.
	if len(groups) > 0 {
		data := appendEntry(make([]byte, 0, r.entrySize(groups)), stamp, groups)
		if err := r.node.Propose(data); err != nil {
			r.waits.rollback()
			r.putBack(batch)
			return false
		}
		r.disk.lastStamp = stamp
		r.proposedAt = r.leaseClock()
		r.view.note(data)
	}
	if hold {
		r.putBack(batch)
		r.held = true
		return false
	}
	r.waits.commit()
	for _, p := range batch {
		if p.verdict != nil {
			p.verdict <- true
		}
	}
	r.dropQueued(rest)
	return true
}

// takeBatch marks as offered what will stand in the next entry, and returns it with the number of queued proposals that
// it accounts for.
func (r *Replicator) takeBatch() (batch []*proposal, used int) {
	bytes, commands := 0, 0
	batch = r.batch[:0]
	term := r.term.Load()
	for _, p := range r.queue {
		if len(batch) > 0 && (bytes+p.bytes > r.cfg.MaxBatchBytes || commands+len(p.cmds) > r.cfg.MaxBatchCommands) {
			break
		}
		used++
		switch {
		case p.verdict == nil:
			if !r.offer(p, term) {
				continue
			}
			if p.wait != nil {
				p.wait.link = nil
			}
		case p.state.Load() == proposalAbandoned:
			continue
		case p.handedTerm != term || p.waits() && r.links[p.link] == nil:
			p.refuse()
			continue
		}
		bytes += p.bytes
		commands += len(p.cmds)
		batch = append(batch, p)
	}
	r.batch = batch
	return batch, used
}

func (r *Replicator) dropQueued(n int) {
	kept := copy(r.queue, r.queue[n:])
	clear(r.queue[kept:])
	r.queue = r.queue[:kept]
}

// putBack returns an offered batch, which is in no log, to the queue, where it still stands at the head.
func (r *Replicator) putBack(batch []*proposal) {
	for _, p := range batch {
		if p.verdict == nil {
			r.withdraw(p, r.term.Load())
		}
	}
}

// sequence lets the Sequencer see the commands of batch in order, and returns the groups of the entry: with hold, only
// those of its own.
func (r *Replicator) sequence(stamp int64, batch []*proposal) (groups []group, hold bool) {
	r.groups = r.groups[:0]
	if r.cfg.Sequencer != nil {
		clear(r.cmds)
		cmds := r.cmds[:0]
		for _, p := range batch {
			cmds = append(cmds, p.cmds...)
		}
		r.cmds = cmds
		before, hold := r.cfg.Sequencer.Sequence(stamp, cmds)
		if len(before) > 0 || hold {
			r.groups = append(r.groups, group{cmds: before})
		}
		if hold {
			return r.groups, true
		}
		if r.waits.rules != nil && (!r.waits.empty() || slices.ContainsFunc(batch, (*proposal).isOfWait)) {
			r.groups = r.arrange(stamp, batch, cmds)
			return r.groups, false
		}
		// The proposals keep their commands as they came: if the entry is lost, another leader sequences them again.
		at := 0
		for _, p := range batch {
			end := at + len(p.cmds)
			r.groups = append(r.groups, group{origin: p.origin, id: p.id, cmds: cmds[at:end]})
			at = end
		}
		return r.groups, false
	}
	for _, p := range batch {
		r.groups = append(r.groups, p.group)
	}
	return r.groups, false
}

func (r *Replicator) entrySize(groups []group) int {
	n := 32
	for i := range groups {
		n += groups[i].size()
	}
	return n
}

// fail stops the node because going on could lose or corrupt data, or because it was removed.
func (r *Replicator) fail(err error) {
	r.failOnce.Do(func() {
		if errors.Is(err, ErrRemoved) {
			r.log.Warn("this node was removed from the cluster, not serving any more")
			r.noteRemoved()
		} else {
			r.log.Error("node stops", "err", err)
		}
		r.cancel(fmt.Errorf("%w: %w", ErrStopped, err))
		close(r.failed)
	})
}
