package raft

import (
	"fmt"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// BenchmarkDecode is what the apply loop does with an entry before the Store sees it.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 25, 400, 5000} {
		b.Run(fmt.Sprintf("commands=%d", n), func(b *testing.B) {
			groups := make([]group, 0, n)
			for i := range n {
				groups = append(groups, group{origin: 1, id: uint64(i), cmds: []Command{{Data: make([]byte, 80)}}})
			}
			raw := []raftpb.Entry{{Term: 1, Index: 1, Data: appendEntry(nil, 1, groups)}}
			a := applyLoop{r: &Replicator{identity: identity{ID: 2}}}
			b.ReportAllocs()
			for b.Loop() {
				run, err := a.decode(raw)
				if err != nil || len(run.entries[0].Commands) != n {
					b.Fatal(err)
				}
				a.scratch.done()
			}
		})
	}
}
