package guard

import (
	"net"
	"time"
)

// mostWaited is for how long what has arrived may have waited to be read, as far as it is believed. The kernel stamps
// by a clock that can be set.
const mostWaited = time.Second

// stamper is a connection that knows when what it has read last has arrived at the machine, in nanoseconds since the
// epoch; 0: not. It belongs to the goroutine that reads.
type stamper interface {
	net.Conn
	stamp() int64
}

// Arrived returns when what Read has handed on last had arrived: by the kernel, or, where that is not known, the zero
// time. Of requests that arrived one by one and were read together it is the time of the last. The result is now less
// the time since then, and not before since. It is for the goroutine that reads, while it does not watch.
func (c *Conn) Arrived(now, since time.Time) time.Time {
	if c.stamper == nil || c.stamper.stamp() == 0 {
		return time.Time{}
	}
	// By the kernel's clock, which now shows too; the reading of the monotonic clock that now has as well goes with it.
	waited := min(now.UnixNano()-c.stamper.stamp(), now.UnixNano()-since.UnixNano())
	if waited < 0 || waited > int64(mostWaited) {
		return now
	}
	return now.Add(-time.Duration(waited))
}

// keepStamping has the kernel stamp for as long as inner listens. It does so only while some socket asks for it, and takes
// a moment to begin.
func keepStamping(inner net.Listener) {
	if l, ok := inner.(*tlsListener); ok {
		inner = l.Listener
	}
	if socket, ok := inner.(*net.TCPListener); ok {
		askForStamps(socket)
	}
}

// stamped returns a connection that reads as inner does, and if it can, knows the stamps.
func stamped(inner net.Conn) (net.Conn, stamper) {
	switch c := inner.(type) {
	case *net.TCPConn:
		if s := newStamper(c); s != nil {
			return s, s
		}
	case *tlsConn:
		// What is decrypted belongs to what was read last.
		if s, ok := c.NetConn().(stamper); ok {
			return c, s
		}
	}
	return inner, nil
}
