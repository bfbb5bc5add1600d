//go:build !unix

package wire

// Closed cannot be told here.
func (c *Conn) Closed() bool { return false }
