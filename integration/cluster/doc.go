// Package cluster runs a Nexus cluster on this machine: redis-servers or mariadbds and nodes as child processes, with
// the means to stop, kill, pause and restart each of them and to compare what their backends hold.
//
// The integration tests, the benchmark and the supervisor behind "make run" are built on it. Nothing here is needed
// by a node.
package cluster
