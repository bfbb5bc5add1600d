package guard

import "sync/atomic"

// Sizes are those of the buffers of a connection, in bytes.
type Sizes struct {
	// Received is the memory for what arrives, and Partial how much of it a request takes that is not complete, as of the
	// last time that more had to be read.
	Received, Partial int64
	// Unsent is the size of what is being sent.
	Unsent int64
}

// Sizes may be called by any goroutine.
func (c *Conn) Sizes() Sizes {
	return Sizes{Received: c.sizes.received.Load(), Partial: c.sizes.partial.Load(), Unsent: c.sizes.unsent.Load()}
}

// sizes are published for Sizes. The reader writes those of its buffer when they have changed, which is seldom.
type sizes struct {
	received, partial, unsent atomic.Int64
}

// note is for the reader.
func (s *sizes) note(received, partial int) {
	if s.received.Load() != int64(received) {
		s.received.Store(int64(received))
	}
	if s.partial.Load() != int64(partial) {
		s.partial.Store(int64(partial))
	}
}
