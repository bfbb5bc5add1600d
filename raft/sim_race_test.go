//go:build race

package raft

// Few rounds and seeds, because the race detector makes each ten times slower.
const (
	simDefaultRounds = 150
	simScriptSeeds   = 1
)
