//go:build unix

package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Await makes the next read wait, if it finds nothing, until n bytes have come, or the connection ends: who expects several
// packets is woken once and not for each. The other end must be about to send as much, whatever it answers. It is a hint:
// nothing waits where the system, or TLS, knows no such thing.
func (c *Conn) Await(n int) {
	if c.raw != c.Conn {
		return // records are longer than what is in them
	}
	if c.control == nil {
		raw, ok := c.raw.(syscall.Conn)
		if !ok {
			return
		}
		control, err := raw.SyscallConn()
		if err != nil {
			return
		}
		c.control = control
	}
	c.least(n)
}

// least sets what a read waits for. Where it fails, one byte is what it was.
func (c *Conn) least(n int) {
	c.awaits = n
	_ = c.control.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, n)
	})
}
