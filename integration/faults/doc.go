// Package faults lets a cluster of real nodes and real redis-servers go through faults while clients of all nodes read
// and write, and checks what the clients were told.
//
// A run is a number of rounds. In each, clients work on a few registers, counters, lists, accounts and locks; meanwhile
// the faults of the round's plan happen, often two at a time; then everything is mended, and
//
//   - every history must be linearizable, where a write of unknown outcome may take effect at any later time or never,
//     and one that was refused as not done must not;
//   - all nodes must serve again, and their backends hold the same;
//   - everything acknowledged must be there;
//   - no node may have ended by itself.
//
// The seed fixes the plans: which faults, where, when, for how long. What the processes make of it, it cannot fix.
//
// TestFaults runs a few rounds of a fixed seed; "make test-faults" runs many. A round that fails leaves its histories as
// pages to look at, the plan and the logs of all processes.
package faults
