// Package integration holds tests of the built programs: clusters of real nodes in front of real redis-servers, driven
// by real clients, with processes killed, paused and misconfigured on the way.
//
// Package cluster starts and stops the processes; network stands between the nodes where a test wants to cut them off;
// faults lets clusters go through all kinds of them; localcluster is the supervisor behind "make run".
package integration
