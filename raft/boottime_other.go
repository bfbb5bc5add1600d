//go:build !linux

package raft

import "time"

var leaseClockStart = time.Now()

// leaseClock is the monotonic clock of the process. It may stand still while the machine is suspended.
func leaseClock() time.Duration { return time.Since(leaseClockStart) }
