package raft

import "go.etcd.io/etcd/raft/v3/raftpb"

// dropSuperseded takes out of messages, in which the transport skips those to nobody, what a later one of them says as
// well: a commit index that goes out with the next entries too, and an acknowledgement of less than a later one
// acknowledges. A member would answer and a leader handle each of them. To raft it is as if they were lost.
func dropSuperseded(messages []raftpb.Message) {
	for i := range messages {
		m := &messages[i]
		if !mayBeSuperseded(m) {
			continue
		}
		for j := i + 1; j < len(messages); j++ {
			if supersedes(&messages[j], m) {
				m.To = 0
				break
			}
		}
	}
}

func mayBeSuperseded(m *raftpb.Message) bool {
	switch m.Type {
	case raftpb.MsgApp:
		return len(m.Entries) == 0
	case raftpb.MsgAppResp:
		return !m.Reject
	default:
		return false
	}
}

func supersedes(later, m *raftpb.Message) bool {
	if later.To != m.To || later.Type != m.Type || later.Term != m.Term || later.Reject {
		return false
	}
	if m.Type == raftpb.MsgApp {
		return later.Commit >= m.Commit
	}
	return later.Index >= m.Index
}
