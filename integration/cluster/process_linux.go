package cluster

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitStopped waits until every thread of a child that was sent SIGSTOP has stopped, or the child has ended.
func awaitStopped(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.ECHILD) { // it has ended, and another goroutine has taken note
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
