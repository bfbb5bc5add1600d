package raft

import (
	"context"
	"errors"
	"fmt"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
)

// absence is why this node cannot take part in anything now, or nil.
func (r *Replicator) absence() error {
	if r.ctx.Err() != nil {
		return r.stopCause()
	}
	if !r.isRunning() {
		return fmt.Errorf("node is starting: %s", r.startProblem())
	}
	return nil
}

// refusal is why no reads and writes can be asked of this node now, or nil.
func (r *Replicator) refusal() error {
	if err := r.absence(); err != nil {
		return err
	}
	if err := r.logStall(); err != nil {
		return err
	}
	if p := r.backendProblem.Load(); p != nil {
		return fmt.Errorf("backend of this node: %w", *p)
	}
	if q := r.quarantined.Load(); q != nil {
		return fmt.Errorf("backend of this node: %w", q)
	}
	return nil
}

// refusalText is refusal for people; "" where there is none.
func (r *Replicator) refusalText() string {
	if err := r.refusal(); err != nil {
		return err.Error()
	}
	return ""
}

func (r *Replicator) stopCause() error { return context.Cause(r.ctx) }

func (r *Replicator) setProblem(text string) { r.problem.Store(&text) }

func (r *Replicator) startProblem() string {
	if p := r.problem.Load(); p != nil {
		return *p
	}
	return "not ready yet"
}

// whyWaiting is the likely reason why an answer does not come.
func (r *Replicator) whyWaiting() error {
	stall := r.logStall()
	switch {
	case stall != nil:
		return stall
	case r.leader.Load() == 0:
		return errors.New("no leader: a majority of the members is not reachable")
	case r.backendProblem.Load() != nil:
		return fmt.Errorf("backend of this node: %w", *r.backendProblem.Load())
	default:
		return fmt.Errorf("leader is %s, backend has applied %d of %d%s", r.membership.name(r.leader.Load()), r.applied.Load(), r.commit.Load(), r.executingText())
	}
}

// late is why a call whose context has ended got no answer.
func (r *Replicator) late(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.Cause(ctx), r.whyWaiting())
	}
	return context.Cause(ctx)
}

// unanswered is why one got none within Config.Timeout.
func (r *Replicator) unanswered() error {
	return fmt.Errorf("%w: %w", r.noAnswer, r.whyWaiting())
}

// Members returns the members as of the last committed change, by id.
func (r *Replicator) Members() []Member { return r.membership.list() }

// Status returns what this node knows of itself and the cluster.
func (r *Replicator) Status() Status {
	r.identityMu.Lock()
	id := r.identity
	r.identityMu.Unlock()
	s := Status{
		ClusterName: r.cfg.ClusterName,
		Cluster:     id.Cluster,
		ID:          id.ID,
		URL:         r.cfg.NodeURL,
		Role:        r.roleName(id.ID),
		Leader:      r.leader.Load(),
		Term:        r.term.Load(),
		Commit:      r.commit.Load(),
		Applied:     r.applied.Load(),
		Members:     r.Members(),
		Lease:       r.lease.remaining(),
		Snapshot:    r.snapshotIndex.Load(),

		SnapshotWritten: r.snapshotWritten.Load(),
		SnapshotSent:    r.snapshotSentBytes.Load(),
		Sending:         r.sending.now(),

		Quarantined: r.quarantined.Load() != nil,
		Verified:    r.verified.Load(),
	}
	if at := r.snapshotAt.Load(); at != 0 {
		s.SnapshotAt = time.Unix(0, at)
	}
	if p := r.progress.Load(); p != nil {
		s.Progress = *p
	}
	err := r.refusal()
	if err == nil && s.Leader == 0 {
		err = r.whyWaiting()
	}
	if err == nil && s.Commit-min(s.Commit, s.Applied) > r.cfg.MaxApplyLag {
		err = fmt.Errorf("backend of this node is catching up: it has applied %d of %d log entries%s", s.Applied, s.Commit, r.executingText())
	}
	s.Executing = r.executing()
	if err == nil && s.Leader == s.ID && r.inArrears() && s.Executing != nil {
		err = fmt.Errorf("this node was elected and has yet to apply what was left: its backend has applied %d of %d log entries%s", s.Applied, s.Commit, r.executingText())
	}
	s.Serving = err == nil
	if err != nil {
		s.Problem = err.Error()
	}
	return s
}

func (r *Replicator) roleName(id uint64) string {
	if err := r.Err(); err != nil {
		if errors.Is(err, ErrRemoved) {
			return "removed"
		}
		return "failed"
	}
	if r.ctx.Err() != nil {
		return "stopped"
	}
	switch role := r.role.Load(); role {
	case roleStarting:
		return "starting"
	case roleJoining:
		return "joining"
	default:
		if m, ok := r.membership.get(id); ok && m.Learner {
			return "learner"
		}
		return roleName(etcdraft.StateType(role))
	}
}
