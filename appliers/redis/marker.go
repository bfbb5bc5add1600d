package redis

import (
	"fmt"

	"github.com/nexus-replication/nexus/raft"
)

// markerKey holds the position, in the metadata database.
const markerKey = "raft.state"

// appendMarker appends the value of markerKey for a position.
func appendMarker(dst []byte, id raft.Identity, p raft.Position) []byte {
	return fmt.Appendf(dst, "v1 cluster=%016x node=%016x term=%d index=%d", id.Cluster, id.Node, p.Term, p.Index)
}

// parseMarker is the inverse of appendMarker. A value that appendMarker did not write is an error, above all a later
// version and one that spoil wrote.
func parseMarker(value string) (raft.Identity, raft.Position, error) {
	var id raft.Identity
	var p raft.Position
	n, err := fmt.Sscanf(value, "v1 cluster=%x node=%x term=%d index=%d", &id.Cluster, &id.Node, &p.Term, &p.Index)
	if err != nil || n != 4 || string(appendMarker(nil, id, p)) != value {
		return id, p, fmt.Errorf("%s holds %.200q, which is no position this program wrote", markerKey, value)
	}
	return id, p, nil
}

// less orders positions: both parts only grow along a log.
func less(a, b raft.Position) bool {
	return a.Index < b.Index && a.Term <= b.Term
}
