//go:build unix && !linux

package cluster

import (
	"syscall"
	"time"
)

func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitStopped gives a child that was sent SIGSTOP the time to stop.
func awaitStopped(int) error {
	time.Sleep(50 * time.Millisecond)
	return nil
}
