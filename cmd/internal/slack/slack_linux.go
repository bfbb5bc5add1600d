// Package slack lets the kernel wake the threads of this process a little late.
//
// It exists because of what the Go runtime does while a goroutine waits for the disk, which in a node is most of the time:
// a thread of the runtime looks every 20 µs whether the processor that goroutine holds should be given to another. Each
// look is a timer interrupt and two switches of threads, about 10 µs, and together they were a quarter of what a
// follower costs. The kernel may put such looks off by the timer slack of the thread, 50 µs unless a process says
// otherwise; with a millisecond there is hardly one left during a write. Nothing in a node depends on timers that exact.
package slack

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// done tells the program that it was started by Allow: where a slack does not outlive exec it must not try again.
const done = "_TIMER_SLACK_SET"

// Allow sets the timer slack of the whole process. A thread gets it from the one that started it, and the runtime has
// started its own before main: so the program executes itself. Allow is called before anything else. It returns when
// the slack is set, or cannot be.
func Allow(d time.Duration) {
	if os.Getenv(done) != "" {
		_ = os.Unsetenv(done)
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || time.Duration(now) >= d {
		return // the service manager has seen to it
	}
	path, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d), 0, 0, 0) != nil {
		return
	}
	// Without it all works, only not as cheaply.
	_ = syscall.Exec(path, os.Args, append(os.Environ(), done+"=1"))
}
