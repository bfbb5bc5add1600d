//go:build !linux

package raft

import "time"

var bootClockStart = time.Now()

// bootClock is the monotonic clock of the process. It may stand still while the machine is suspended.
func bootClock() time.Duration { return time.Since(bootClockStart) }
