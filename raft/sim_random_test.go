package raft

import (
	"math/rand"
	"sync"
	_ "unsafe" // for go:linkname
)

// raftRandom has the layout of what etcd/raft draws its election timeouts from.
type raftRandom struct {
	mu   sync.Mutex
	rand *rand.Rand
}

//go:linkname globalRand go.etcd.io/etcd/raft/v3.globalRand
var globalRand *raftRandom

// seedRaft makes election timeouts a function of the seed.
func seedRaft(seed uint64) {
	globalRand.mu.Lock()
	defer globalRand.mu.Unlock()
	globalRand.rand = rand.New(rand.NewSource(int64(seed)))
}
