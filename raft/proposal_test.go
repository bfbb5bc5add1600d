package raft

import "testing"

// Proposals that are offered again keep their order.
func TestTakeBefore(t *testing.T) {
	s := pendingSet{byID: make(map[uint64]*proposal)}
	for id := range uint64(100) {
		s.add(&proposal{group: group{id: id}}, 1+id%2)
	}
	taken := s.takeBefore(2)
	if len(taken) != 50 || len(s.byID) != 50 {
		t.Fatalf("took %d of 100, %d are left, want 50 each", len(taken), len(s.byID))
	}
	for i, p := range taken {
		if p.id != uint64(2*i) {
			t.Fatalf("proposal %d at place %d", p.id, i)
		}
	}
}
