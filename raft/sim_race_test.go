//go:build race

package raft

// simDefaultRounds are few, because the race detector makes each ten times slower.
const simDefaultRounds = 150
