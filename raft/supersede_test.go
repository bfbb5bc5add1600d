package raft

import (
	"slices"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

func TestDropSuperseded(t *testing.T) {
	entries := []raftpb.Entry{{Term: 3, Index: 8}}
	ack := func(to, index uint64) raftpb.Message {
		return raftpb.Message{Type: raftpb.MsgAppResp, To: to, Term: 3, Index: index}
	}
	commit := func(to, commit uint64, entries ...raftpb.Entry) raftpb.Message {
		return raftpb.Message{Type: raftpb.MsgApp, To: to, Term: 3, Index: 7, Commit: commit, Entries: entries}
	}
	reject := ack(1, 9)
	reject.Reject = true
	newer := ack(1, 9)
	newer.Term = 4
	for _, tc := range []struct {
		name     string
		messages []raftpb.Message
		dropped  []int
	}{
		{"a commit index goes with the next entries", []raftpb.Message{commit(1, 7), commit(2, 7), commit(1, 7, entries...)}, []int{0}},
		{"of many commit indexes the last", []raftpb.Message{commit(1, 5), commit(1, 6), commit(1, 7)}, []int{0, 1}},
		{"what follows knows of less", []raftpb.Message{commit(1, 7), commit(1, 6, entries...)}, nil},
		{"entries stay", []raftpb.Message{commit(1, 7, entries...), commit(1, 8)}, nil},
		{"of many acknowledgements the last", []raftpb.Message{ack(1, 5), ack(2, 6), ack(1, 6)}, []int{0}},
		{"less is acknowledged later", []raftpb.Message{ack(1, 6), ack(1, 5)}, nil},
		{"a rejection tells something else", []raftpb.Message{ack(1, 5), reject}, nil},
		{"a rejection stays", []raftpb.Message{reject, ack(1, 9)}, nil},
		{"of another term", []raftpb.Message{ack(1, 5), newer}, nil},
		{"heartbeats carry reads", []raftpb.Message{
			{Type: raftpb.MsgHeartbeat, To: 1, Term: 3, Commit: 5}, {Type: raftpb.MsgHeartbeat, To: 1, Term: 3, Commit: 6},
		}, nil},
	} {
		dropSuperseded(tc.messages)
		var dropped []int
		for i := range tc.messages {
			if tc.messages[i].To == 0 {
				dropped = append(dropped, i)
			}
		}
		if !slices.Equal(dropped, tc.dropped) {
			t.Errorf("%s: dropped %v, want %v", tc.name, dropped, tc.dropped)
		}
	}
}
