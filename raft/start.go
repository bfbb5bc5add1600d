package raft

import (
	"context"
	"errors"
	"fmt"

	etcdraft "go.etcd.io/etcd/raft/v3"
)

// Start opens the data directory and the node URL, finds the cluster, opens the Store (waiting for the backend to be
// reachable) and runs raft. It returns as soon as raft runs and the Store is open, which is before there is a leader. A node
// that has a log votes already while it waits for its backend. After an error the Replicator is stopped.
func (r *Replicator) Start(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		r.cancel(fmt.Errorf("%w: %w", ErrStopped, err))
		return errors.Join(err, r.release())
	}
	return nil
}

func (r *Replicator) start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()

	var err error
	if r.lock, err = lockDir(r.cfg.DataDir); err != nil {
		return err
	}
	id, err := loadIdentity(&r.cfg)
	if err != nil {
		return err
	}
	if err := checkForgotten(r.cfg.DataDir); err != nil {
		return err
	}
	r.identityMu.Lock()
	r.identity = id
	r.identityMu.Unlock()
	if err := r.listen(); err != nil {
		return err
	}
	if err := r.enterCluster(ctx); err != nil {
		return err
	}
	position, err := r.open(ctx)
	if err != nil {
		return err
	}
	if r.transport, err = newTransport(r.identity, r.tls.info, r.disk.snapshots.files, inbound{r}, newZap(r.log)); err != nil {
		return err
	}
	apply, err := r.begin(position)
	if err != nil {
		return err
	}
	r.spawn(r.runLoop)
	r.spawn(apply.run)
	r.spawn(r.watchTransport)
	r.spawn(r.learnDialects)
	r.spawn(r.verifyPeriodically)
	r.autoRepair()
	return r.awaitOpened(ctx)
}

// open opens the log and the Store, and returns what the Store holds. Where that is left to the apply loop, there is a
// backendProblem afterwards.
func (r *Replicator) open(ctx context.Context) (position Position, err error) {
	if r.disk, err = openLog(r.cfg.DataDir, r.identity, newZap(r.log)); err != nil {
		return position, err
	}
	if err := r.noteLogged(); err != nil {
		return position, err
	}
	if err := r.loadQuarantine(); err != nil {
		return position, err
	}
	return r.openFirst(ctx)
}

// noteLogged makes durable that there is a log, before anything is promised that stands in it alone.
func (r *Replicator) noteLogged() error {
	r.identityMu.Lock()
	defer r.identityMu.Unlock()
	if r.identity.Logged {
		return nil
	}
	r.identity.Logged = true
	return r.identity.save(r.cfg.DataDir)
}

// begin makes the node ready to run. The loops are still to be started.
func (r *Replicator) begin(position Position) (*applyLoop, error) {
	if err := r.beginMembership(); err != nil {
		return nil, err
	}
	if err := r.startNode(); err != nil {
		return nil, err
	}
	r.problem.Store(nil)
	r.applied.Store(position.Index)
	r.appliedTerm.Store(position.Term)
	r.started = r.leaseClock()
	if r.backendProblem.Load() == nil {
		close(r.opened)
	}
	close(r.running)
	noted, err := removedID(r.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if noted != 0 || r.membership.isRemoved(r.identity.ID) {
		r.fail(ErrRemoved)
	}
	return &applyLoop{r: r, position: position, highest: position.Index, logBytes: r.disk.bytes}, nil
}

// beginMembership takes the members from the newest snapshot; the log tells of changes since. A node that has neither
// begins with those it was told of when it joined.
func (r *Replicator) beginMembership() error {
	base := r.disk.base
	if base == nil {
		r.transport.setPeers(r.identity.Contacts, r.identity.ID)
		return nil
	}
	data, err := decodeSnapshotData(base.Data)
	if err != nil {
		return err
	}
	r.membership.reset(base.Metadata.Index, base.Metadata.ConfState, &data)
	r.snapshotIndex.Store(base.Metadata.Index)
	r.transport.setPeers(data.Members, r.identity.ID)
	return nil
}

func (r *Replicator) startNode() error {
	node, err := etcdraft.NewRawNode(&etcdraft.Config{
		ID:                        r.identity.ID,
		ElectionTick:              r.cfg.ElectionTicks,
		HeartbeatTick:             1,
		Storage:                   r.disk.memory,
		MaxSizePerMsg:             maxMessageBytes,
		MaxInflightMsgs:           maxInflightMessages,
		MaxUncommittedEntriesSize: maxUncommittedBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            etcdraft.ReadOnlySafe,
		DisableProposalForwarding: true,
		Logger:                    raftLogger{r.log},
	})
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	r.node = node
	if r.disk.existed || len(r.identity.Bootstrap) == 0 {
		return nil
	}
	peers := make([]etcdraft.Peer, len(r.identity.Bootstrap))
	for i, m := range r.identity.Bootstrap {
		peers[i] = etcdraft.Peer{ID: m.ID, Context: encodeMemberContext(m.URL)}
	}
	if err := node.Bootstrap(peers); err != nil {
		return fmt.Errorf("bootstrap raft: %w", err)
	}
	return nil
}
