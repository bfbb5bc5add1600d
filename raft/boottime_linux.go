package raft

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock is a clock that goes on while the machine is suspended, which Go's monotonic clock does not on Linux: a
// lease must not survive a closed lid.
func bootClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("raft: CLOCK_BOOTTIME: " + err.Error()) // in every kernel since 2.6.39
	}
	return time.Duration(ts.Nano())
}
