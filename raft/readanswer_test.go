package raft

import (
	"reflect"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

func TestAnswersByLease(t *testing.T) {
	question := raftpb.Message{Type: raftpb.MsgReadIndex, From: 8, To: 7, Entries: []raftpb.Entry{{Data: []byte("which")}}}
	for _, tc := range []struct {
		name   string
		change func(r *Replicator, now *time.Duration)
		answer bool
	}{
		{"lease", func(*Replicator, *time.Duration) {}, true},
		{"lease has run out", func(_ *Replicator, now *time.Duration) { *now = time.Second }, false},
		{"no lease", func(r *Replicator, _ *time.Duration) { r.lease.drop() }, false},
		{"lease of an earlier term", func(r *Replicator, _ *time.Duration) { r.lease.renew(r.node.BasicStatus().Term-1, time.Second) }, false},
		{"without leases", func(r *Replicator, _ *time.Duration) { r.cfg.LeaseReads = false }, false},
		{"leads no more", func(r *Replicator, _ *time.Duration) {
			if err := r.node.Step(raftpb.Message{Type: raftpb.MsgHeartbeat, From: 8, To: 7, Term: r.node.BasicStatus().Term + 1}); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		r, now := newLeaseHolder(t)
		tc.change(r, now)
		if got := r.answersByLease(&question); got != tc.answer {
			t.Errorf("%s: answers is %v", tc.name, got)
		}
		if !tc.answer {
			if len(r.answers) > 0 {
				t.Errorf("%s: says %v", tc.name, r.answers)
			}
			continue
		}
		status := r.node.BasicStatus()
		want := []raftpb.Message{{Type: raftpb.MsgReadIndexResp, From: 7, To: 8, Term: status.Term, Index: status.Commit, Entries: question.Entries}}
		if !reflect.DeepEqual(r.answers, want) {
			t.Errorf("%s: says %v, want %v", tc.name, r.answers, want)
		}
	}
}

// Who was told to wait for an index must hear of it before the next entry.
func TestAnswerEndsWithholding(t *testing.T) {
	commit := raftpb.Message{Type: raftpb.MsgApp, To: 8, Commit: 5}
	r := &Replicator{}
	r.gathering.on = true
	if got := r.withhold([]raftpb.Message{commit}); len(got) != 0 {
		t.Fatalf("sends %v", got)
	}
	r.gathering.asked = true
	if got, want := r.withhold(nil), []raftpb.Message{commit}; !reflect.DeepEqual(got, want) {
		t.Errorf("sends %v, want %v", got, want)
	}
	if got, want := r.withhold([]raftpb.Message{commit}), []raftpb.Message{commit}; !reflect.DeepEqual(got, want) {
		t.Errorf("sends %v, want %v", got, want)
	}
}
