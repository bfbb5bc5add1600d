package guard

// standIn is what Read hands on in the place of a large request.
const standIn = "*1\r\n$5\r\nLARGE\r\n"

// SetAside makes Read hand on a stand-in for each request of more than 32 KiB, in a call of its own. Whoever gets to run
// it has to call TakeLarge, and run what that returns instead. So a large request is not copied, and redcon's buffer,
// which doubles until a request fits and stays as large, need not hold it. It is to be called before the first Read.
func (c *Conn) SetAside() { c.aside = true }

// TakeLarge returns the request that a stand-in was handed on for, or nil if the last Read was none. The caller owns it.
// It is for the goroutine that reads.
func (c *Conn) TakeLarge() []byte {
	frame := c.large
	c.large = nil
	return frame
}

// setAside keeps the request in out for TakeLarge.
func (c *Conn) setAside() {
	if cap(c.encoded) > keepBuffer {
		c.encoded = nil // out is its only user
		c.large = c.out
	} else {
		c.large = c.in.detach(c.out)
	}
	c.out, c.fat = nil, false
}
