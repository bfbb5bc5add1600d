package guard

import (
	"fmt"
	"math"
	"time"
)

// Limits bounds what one listener's clients may ask for.
type Limits struct {
	// MaxBulk is the largest single argument, in bytes (Redis:
	// proto-max-bulk-len).
	MaxBulk int64
	// MaxArgs is the largest number of arguments of one request.
	MaxArgs int
	// MaxInline is the longest inline command or header line, in bytes.
	MaxInline int
	// MaxFrame is the largest request, in bytes on the wire.
	MaxFrame int64
	// WriteTimeout is how long a client may take no byte of a reply.
	WriteTimeout time.Duration
	// MaxConns is the largest number of connections at one time.
	MaxConns int
	// UnauthMaxArgs and UnauthMaxBulk replace MaxArgs and MaxBulk for a
	// connection that has not authenticated (see Conn.SetAuthenticated).
	UnauthMaxArgs int
	UnauthMaxBulk int64
}

// DefaultLimits returns the limits of redis-server where it has one.
func DefaultLimits() Limits {
	return Limits{
		MaxBulk:       512 << 20,
		MaxArgs:       1 << 20,
		MaxInline:     64 << 10,
		MaxFrame:      1 << 30,
		WriteTimeout:  30 * time.Second,
		MaxConns:      10000,
		UnauthMaxArgs: 10,
		UnauthMaxBulk: 16384,
	}
}

// Validate reports the first limit that makes no sense. A Listener must be
// given limits that pass.
func (l Limits) Validate() error {
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"MaxBulk", l.MaxBulk},
		{"MaxArgs", int64(l.MaxArgs)},
		{"MaxInline", int64(l.MaxInline)},
		{"MaxFrame", l.MaxFrame},
		{"WriteTimeout", int64(l.WriteTimeout)},
		{"MaxConns", int64(l.MaxConns)},
		{"UnauthMaxArgs", int64(l.UnauthMaxArgs)},
		{"UnauthMaxBulk", l.UnauthMaxBulk},
	} {
		if f.n <= 0 {
			return fmt.Errorf("guard: %s must be positive, is %d", f.name, f.n)
		}
	}
	// Offsets are ints and the buffer may be twice the frame: leave room, so
	// that no sum below can overflow.
	if l.MaxFrame > math.MaxInt/4 {
		return fmt.Errorf("guard: MaxFrame must be at most %d, is %d", math.MaxInt/4, l.MaxFrame)
	}
	if l.MaxArgs > math.MaxInt32 {
		return fmt.Errorf("guard: MaxArgs must be at most %d, is %d", math.MaxInt32, l.MaxArgs)
	}
	if l.MaxInline > math.MaxInt32/4 {
		return fmt.Errorf("guard: MaxInline must be at most %d, is %d", math.MaxInt32/4, l.MaxInline)
	}
	if l.MaxBulk > l.MaxFrame {
		return fmt.Errorf("guard: MaxBulk (%d) must not exceed MaxFrame (%d)", l.MaxBulk, l.MaxFrame)
	}
	return nil
}
