//go:build !race

package raft

// simDefaultRounds take about half a minute of one processor.
const simDefaultRounds = 1500
