//go:build !unix

package wire

// Await does nothing here: each packet wakes.
func (c *Conn) Await(int) {}

func (c *Conn) least(int) {}
