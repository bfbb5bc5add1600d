package redis

import (
	"bytes"
	"context"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

// FuzzBackendTexts is what a backend could answer to what a node asks it about itself.
func FuzzBackendTexts(f *testing.F) {
	f.Add([]byte("# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\ndb0:keys=1,expires=0\r\n"))
	f.Add([]byte("*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n"))
	f.Add(appendMarker(nil, raft.Identity{Cluster: 1, Node: 2}, raft.Position{Term: 3, Index: 4}))
	f.Fuzz(func(t *testing.T, p []byte) {
		_ = parseInfo(p)
		_, _, _ = parseScan(p)
		_, _ = parsePairs(p)
		_, _ = parseSettings(p, nil)
		if id, pos, err := parseMarker(string(p)); err == nil {
			if _, _, err := parseMarker(string(appendMarker(nil, id, pos))); err != nil {
				t.Errorf("marker %q cannot be read again: %v", p, err)
			}
		}
	})
}

// FuzzSnapshot is what could come in place of a snapshot: it must not reach the backend, which a damaged one kills.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte("REDIS0010\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		snap := &raft.Snapshot{Position: raft.Position{Term: 1, Index: 1}, Size: int64(len(p)), Data: bytes.NewReader(p)}
		if _, _, err := checkRDB(context.Background(), snap); err == nil && !bytes.HasPrefix(p, []byte("REDIS")) {
			t.Errorf("%q was taken for an RDB", p)
		}
	})
}
