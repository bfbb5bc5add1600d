package raft

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

const (
	// membershipTimeout bounds a change whose caller sets no deadline: a new member has to catch up first.
	membershipTimeout = time.Minute
	membershipPause   = 50 * time.Millisecond
	// A learner is promoted when it holds this share of the leader's log.
	readyNumerator, readyDenominator = 9, 10
)

// ErrRefused means that a membership change or transfer was refused for the reason given, and nothing was changed.
var ErrRefused = errors.New("refused")

// errNotLeader means that the change has to be asked of another node.
var errNotLeader = errors.New("this node does not lead")

// AddMember adds the node that runs at url: as a learner first, which counts in no quorum, and as a voter when it has
// caught up. It returns when the node votes. Asking again after an error goes on where it stopped. It may be called on
// any member. Errors wrap ErrRefused where the reason is not the moment.
func (r *Replicator) AddMember(ctx context.Context, url string) error {
	if _, err := ParseNodeURL(url); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	_, err := r.change(ctx, membershipRequest{Op: "add", URL: strings.TrimSuffix(url, "/")})
	return err
}

// RemoveMember removes the member at url for good; its id is never used again. A leader hands over first. It is refused
// where too few of the remaining voters are reachable to form a quorum, unless force is set.
func (r *Replicator) RemoveMember(ctx context.Context, url string, force bool) error {
	url = strings.TrimSuffix(url, "/")
	itself := url == strings.TrimSuffix(r.cfg.NodeURL, "/") && r.ctx.Err() == nil
	_, err := r.change(ctx, membershipRequest{Op: "remove", URL: url, Force: force})
	if itself && errors.Is(err, ErrRemoved) {
		return nil // it was, and has learned that before the answer came
	}
	return err
}

// ReplaceMember removes the member at url, whose data or machine is lost, and adds the node that runs at by, which may be
// the same URL. Nothing is removed before the new node answers. Asking again after an error goes on where it stopped.
func (r *Replicator) ReplaceMember(ctx context.Context, url, by string) error {
	if _, err := ParseNodeURL(by); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	_, err := r.change(ctx, membershipRequest{Op: "replace", URL: strings.TrimSuffix(url, "/"), By: strings.TrimSuffix(by, "/")})
	return err
}

func (r *Replicator) changeAsLeader(ctx context.Context, req membershipRequest) (*VerifyReport, error) {
	if r.leader.Load() != r.identity.ID {
		return nil, errNotLeader
	}
	// One change at a time; raft ignores a second one. A comparison changes nothing, and takes long.
	turn, what := r.changeTurn, "membership change"
	if req.Op == "verify" {
		turn, what = r.verifyTurn, "comparison"
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("another %s is under way: %w", what, context.Cause(ctx))
	}
	switch req.Op {
	case "add":
		return nil, r.addAsLeader(ctx, req.URL)
	case "remove":
		return nil, r.removeAsLeader(ctx, req.URL, req.Force)
	case "replace":
		return nil, r.replaceAsLeader(ctx, req.URL, req.By)
	case "transfer":
		return nil, r.transferAsLeader(ctx, req.ID)
	case "verify":
		return r.verifyAsLeader(ctx)
	default:
		return nil, fmt.Errorf("%w: unknown change %q", ErrRefused, req.Op)
	}
}

// meet waits until the node at url introduces itself.
func (r *Replicator) meet(ctx context.Context, url string) (introduction, error) {
	own, _, _ := strings.Cut(r.cfg.NodeURL, "://")
	if scheme, _, _ := strings.Cut(url, "://"); scheme != own {
		return introduction{}, fmt.Errorf("%w: the nodes of this cluster are reached by %s://, so that %s cannot be one of them", ErrRefused, own, url)
	}
	for {
		peer, err := r.introduce(ctx, url)
		if err == nil {
			return peer, r.checkDialect(peer)
		}
		var wrong errMisconfigured
		if errors.As(err, &wrong) {
			return peer, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		select {
		case <-time.After(bootstrapPause):
		case <-ctx.Done():
			if missing := leaderlessCause(ctx); missing != nil {
				return peer, fmt.Errorf("add %s: %w", url, missing)
			}
			return peer, fmt.Errorf("add %s: it did not answer so far: is it running, and reachable from the leader? %w", url, err)
		}
	}
}

func (r *Replicator) replaceAsLeader(ctx context.Context, url, by string) error {
	peer, err := r.meet(ctx, by)
	if err != nil {
		return err
	}
	old, isMember := r.membership.byURL(url)
	switch {
	case isMember && old.ID == peer.ID && !old.Learner:
		return fmt.Errorf("%w: %s is node %016x as before: it has not lost its data", ErrRefused, url, peer.ID)
	case !isMember && !sameURL(url, by) && !r.isMemberURL(by):
		return fmt.Errorf("%w: %s is not a member", ErrRefused, url)
	case isMember && old.ID != peer.ID: // else it was broken off after this
		if err := r.refuseStranger(peer, by); err != nil {
			return err
		}
		if err := r.removeAsLeader(ctx, url, false); err != nil {
			return err
		}
		if err := r.addAsLeader(ctx, by); err != nil {
			return r.halfReplaced(url, by, err)
		}
		return nil
	}
	return r.addAsLeader(ctx, by)
}

// halfReplaced is the error of a replacement that err broke off after the removal.
func (r *Replicator) halfReplaced(url, by string, err error) error {
	if sameURL(url, by) || r.isMemberURL(by) {
		return fmt.Errorf("the former node of %s is removed, the new one does not vote yet (repeat this to go on): %w", url, err)
	}
	if errors.Is(err, ErrOutcomeUnknown) {
		return fmt.Errorf("%s is removed, %s does not vote yet (add it to go on): %w", url, by, err)
	}
	// Without its marks: another leader, when it was asked, would refuse, and a refusal means that nothing was changed.
	return fmt.Errorf("%s is removed, %s is not added yet (add it to go on): %v", url, by, err) //nolint:errorlint // see above
}

func (r *Replicator) isMemberURL(url string) bool {
	_, ok := r.membership.byURL(url)
	return ok
}

func (r *Replicator) addAsLeader(ctx context.Context, url string) error {
	peer, err := r.meet(ctx, url)
	if err != nil {
		return err
	}
	known, isMember := r.membership.byURL(url)
	switch {
	case isMember && known.ID != peer.ID:
		return fmt.Errorf("%w: %s is already a member as node %016x, but node %016x runs there now: remove it first", ErrRefused, url, known.ID, peer.ID)
	case isMember && !known.Learner:
		return nil
	}
	if err := r.refuseStranger(peer, url); err != nil {
		return err
	}
	if !isMember {
		if err := r.proposeChange(ctx, raftpb.ConfChangeAddLearnerNode, peer.ID, url); err != nil {
			return fmt.Errorf("add %s as a learner: %w", url, err)
		}
	}
	if err := r.waitCaughtUp(ctx, peer.ID); err != nil {
		return fmt.Errorf("%s is a learner, waiting for it to catch up: %w", url, err)
	}
	if err := r.proposeChange(ctx, raftpb.ConfChangeAddNode, peer.ID, url); err != nil {
		return fmt.Errorf("promote %s: %w", url, err)
	}
	return nil
}

// refuseStranger refuses a node at url that cannot become a member whatever the members are.
func (r *Replicator) refuseStranger(peer introduction, url string) error {
	switch {
	case r.membership.isRemoved(peer.ID):
		return fmt.Errorf("%w: node %016x at %s was removed from this cluster before: empty its data directory, or start it with -nexus-wipe-removed, so that it comes back with a new id", ErrRefused, peer.ID, url)
	case peer.Cluster != 0 && peer.Cluster != r.identity.Cluster:
		return fmt.Errorf("%w: node %016x at %s is in another cluster (%016x)", ErrRefused, peer.ID, url, peer.Cluster)
	}
	return nil
}

// waitCaughtUp waits until a learner holds nearly all of the log and answers.
func (r *Replicator) waitCaughtUp(ctx context.Context, id uint64) error {
	for {
		var match, last uint64
		err := r.onLoop(ctx, func() error {
			status := r.node.Status()
			if status.RaftState != etcdraft.StateLeader {
				return errNotLeader
			}
			match, last = status.Progress[id].Match, status.Progress[r.identity.ID].Match
			return nil
		})
		if err != nil {
			return err
		}
		if match > 0 && match*readyDenominator >= last*readyNumerator {
			return nil
		}
		select {
		case <-time.After(membershipPause):
		case <-ctx.Done():
			return fmt.Errorf("it holds %d of %d entries: %w", match, last, context.Cause(ctx))
		}
	}
}

func (r *Replicator) removeAsLeader(ctx context.Context, url string, force bool) error {
	m, ok := r.membership.byURL(url)
	if !ok {
		return fmt.Errorf("%w: %s is not a member", ErrRefused, url)
	}
	if !m.Learner && !force {
		if err := r.checkQuorumWithout(ctx, m.ID); err != nil {
			return err
		}
	}
	if m.ID == r.identity.ID {
		if err := r.transferAsLeader(ctx, 0); err != nil {
			return fmt.Errorf("hand over before removing the leader: %w", err)
		}
		return errNotLeader // the new leader removes this node
	}
	if err := r.proposeChange(ctx, raftpb.ConfChangeRemoveNode, m.ID, m.URL); err != nil {
		return fmt.Errorf("remove %s: %w", url, err)
	}
	return nil
}

// checkQuorumWithout refuses a removal after which the voters that answer would not be a quorum. Those count that are heard
// from here on, as a live one is with the next heartbeat: a connection may be there that nobody answers on any more, or not be known yet.
func (r *Replicator) checkQuorumWithout(ctx context.Context, id uint64) error {
	asked := r.leaseClock()
	for {
		voters, heard, err := r.votersHeard(ctx, id, asked)
		switch {
		case err != nil:
			return err
		case voters == 0:
			return fmt.Errorf("%w: it is the last voter", ErrRefused)
		case heard >= voters/2+1:
			return nil
		case r.leaseClock()-asked > r.cfg.ElectionTimeout():
			return fmt.Errorf("%w: only %d of the %d remaining voters are reachable, the cluster would lose its quorum (force it if that is what you want)", ErrRefused, heard, voters)
		}
		select {
		case <-time.After(membershipPause):
		case <-ctx.Done():
			return fmt.Errorf("look for the voters that answer: %w", context.Cause(ctx))
		}
	}
}

// votersHeard counts the voters besides id, and those of them that were heard after since. This node hears itself.
func (r *Replicator) votersHeard(ctx context.Context, id uint64, since time.Duration) (voters, heard int, err error) {
	err = r.onLoop(ctx, func() error {
		status := r.node.Status()
		if status.RaftState != etcdraft.StateLeader {
			return errNotLeader
		}
		for peer, p := range status.Progress {
			if p.IsLearner || peer == id {
				continue
			}
			voters++
			if at, ok := r.heard[peer]; peer == r.identity.ID || ok && at > since {
				heard++
			}
		}
		return nil
	})
	return voters, heard, err
}

// proposeChange has a membership change committed and returns when it took effect on this node.
func (r *Replicator) proposeChange(ctx context.Context, kind raftpb.ConfChangeType, id uint64, url string) error {
	done := make(chan struct{})
	cc := raftpb.ConfChange{Type: kind, NodeID: id, Context: encodeMemberContext(url)}
	propose := func() (err error) {
		if !r.leading {
			return errNotLeader
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.cutting != nil {
			return errCutting
		}
		if cc.ID, err = newID(); err != nil {
			return err
		}
		r.changes[cc.ID] = done
		return r.node.ProposeConfChange(cc)
	}
	err := r.onLoop(ctx, propose)
	for errors.Is(err, errCutting) && ctx.Err() == nil {
		time.Sleep(membershipPause)
		err = r.onLoop(ctx, propose)
	}
	if err != nil {
		return r.perhapsDone(ctx, err)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the change may still happen: %w", ErrOutcomeUnknown, context.Cause(ctx))
	case <-r.ctx.Done():
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, r.stopCause())
	}
}

// onLoop runs f in the raft loop and returns its error.
func (r *Replicator) onLoop(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	r.mail.call(func() { result <- f() })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.ctx.Done():
		return r.stopCause()
	}
}
