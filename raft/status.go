package raft

import "time"

// Member of the cluster, as of the last applied membership change.
type Member struct {
	ID      uint64 `json:"id"`
	URL     string `json:"url"`
	Learner bool   `json:"learner,omitempty"`
}

// Status of this node. Indexes are log indexes; all values are of one moment, which is already past.
type Status struct {
	ClusterName string `json:"clusterName"`
	Cluster     uint64 `json:"cluster"`
	ID          uint64 `json:"id"`
	URL         string `json:"url"`
	// Role is one of starting, joining, follower, candidate, leader, learner, removed, stopped, failed.
	Role    string   `json:"role"`
	Leader  uint64   `json:"leader"` // 0: none known
	Term    uint64   `json:"term"`
	Commit  uint64   `json:"commit"`
	Applied uint64   `json:"applied"`
	Members []Member `json:"members"`
	// Snapshot is the index of the newest snapshot on this node's disk; 0 without one.
	Snapshot uint64 `json:"snapshot"`
	// SnapshotAt is when a snapshot was last put on this node's disk; zero if none was since it was started.
	SnapshotAt time.Time `json:"snapshotAt,omitzero"`
	// SnapshotWritten and SnapshotSent are bytes of snapshots that this node has written to its disk, and that have left for
	// other members, since it was started: they grow while one is on its way.
	SnapshotWritten uint64 `json:"snapshotWritten"`
	SnapshotSent    uint64 `json:"snapshotSent"`
	// Quarantined says that the data of this node was found to differ from that of the others.
	Quarantined bool `json:"quarantined"`
	// Verified is the newest comparison that this node made as a leader; nil if it made none.
	Verified *VerifyReport `json:"verified,omitempty"`
	// Lease is how long the leader's lease still holds; 0 without one.
	Lease time.Duration `json:"lease"`
	// Progress is, on the leader, the last index each member is known to hold.
	Progress map[uint64]uint64 `json:"progress,omitempty"`
	// Sending is, on the leader, which members are being sent a snapshot, and how far that is.
	Sending map[uint64]Sending `json:"sending,omitempty"`
	// Serving is false while reads and writes would be refused; Problem says why (no leader, backend down, ...).
	Serving bool   `json:"serving"`
	Problem string `json:"problem,omitempty"`
	// Executing is what the backend has been executing for more than a second; nil for nothing.
	Executing *Executing `json:"executing,omitempty"`
}

// LeaderURL returns the node URL of the leader, or "" when none is known.
func (s Status) LeaderURL() string {
	for _, m := range s.Members {
		if m.ID == s.Leader {
			return m.URL
		}
	}
	return ""
}

// Outcome of a Propose call.
type Outcome struct {
	Position
	// Stamp of the entry: the leader's clock when it was proposed, in milliseconds since the epoch.
	Stamp int64
	// Replies has one reply for each command, in order.
	Replies []Reply
}

// Reply to one command. Err is ErrReplyLost, wrapped, or nil.
type Reply struct {
	Data []byte
	Err  error
}
