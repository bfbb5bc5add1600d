//go:build !linux

package wire

import "net"

// HungUp reports whether the other end of a connection has closed it and all that it sent was read.
func HungUp(c net.Conn) bool { return (&Conn{Conn: c}).Closed() }
