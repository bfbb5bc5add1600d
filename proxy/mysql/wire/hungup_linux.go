package wire

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// HungUp reports whether the other end of a connection sends nothing any more, whatever of it was not read yet: it has closed
// it, or said so. It may be called while others use the connection.
func HungUp(c net.Conn) bool {
	raw, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	hungUp := false
	err = control.Control(func(fd uintptr) {
		const over = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds, 0)
		hungUp = err == nil && n > 0 && fds[0].Revents&over != 0
	})
	return hungUp || err != nil
}
