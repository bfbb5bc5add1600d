package raft

import (
	"context"
	"testing"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// newLeaseHolder is a leader without members whose lease of its term runs out at a second.
func newLeaseHolder(t *testing.T) (r *Replicator, now *time.Duration) {
	t.Helper()
	memory := etcdraft.NewMemoryStorage()
	if err := memory.ApplySnapshot(raftpb.Snapshot{Metadata: raftpb.SnapshotMetadata{
		Index: 1, Term: 1, ConfState: raftpb.ConfState{Voters: []uint64{7}}}}); err != nil {
		t.Fatal(err)
	}
	node, err := etcdraft.NewRawNode(&etcdraft.Config{
		ID: 7, ElectionTick: 10, HeartbeatTick: 1, Storage: memory, MaxInflightMsgs: 1, MaxSizePerMsg: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Campaign(); err != nil {
		t.Fatal(err)
	}
	now = new(time.Duration)
	r = &Replicator{cfg: NewConfig(), node: node, identity: identity{ID: 7}}
	r.cfg.LeaseReads = true
	r.lease.clock = func() time.Duration { return *now }
	r.lease.renew(node.BasicStatus().Term, time.Second)
	return r, now
}

// A lease of the term is there, but has run out: what was read under it does not count.
func TestReadByLeaseThatHasRunOut(t *testing.T) {
	r, now := newLeaseHolder(t)
	called := 0
	read := func(context.Context) error { called++; return nil }
	if done, err := r.readByLease(context.Background(), read); !done || err != nil || called != 1 {
		t.Errorf("under a lease: done is %v, %v", done, err)
	}
	*now = time.Second
	if done, err := r.readByLease(context.Background(), read); done || err != nil {
		t.Errorf("under one that has run out: done is %v, %v", done, err)
	}
	*now = 0
	outlives := func(context.Context) error { r.lease.renew(r.node.BasicStatus().Term+1, time.Second); return nil }
	if done, err := r.readByLease(context.Background(), outlives); done || err != nil {
		t.Errorf("under another one afterwards: done is %v, %v", done, err)
	}
}
