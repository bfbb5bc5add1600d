//go:build !race

package raft

const (
	simDefaultRounds = 1500 // about half a minute of one processor
	simScriptSeeds   = 3    // of each script
)
