package mysql

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// seldomDeadline is a connection whose deadline for reading is moved only where that makes a difference. The library moves it
// several times for each event of the binary log, which costs as much as taking the event does.
type seldomDeadline struct {
	net.Conn
	slack time.Duration // by which a read may end early
	at    atomic.Int64  // the deadline that was set last, in nanoseconds
}

// dialSeldom is a dialer of such connections, of which reads are bounded by timeout.
func dialSeldom(timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &seldomDeadline{Conn: c, slack: timeout / 8}, nil
	}
}

// SetReadDeadline implements net.Conn.
func (c *seldomDeadline) SetReadDeadline(t time.Time) error {
	at := t.UnixNano()
	if early := time.Duration(at - c.at.Load()); early >= 0 && early < c.slack && !t.IsZero() {
		return nil
	}
	c.at.Store(at)
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *seldomDeadline) SetDeadline(t time.Time) error {
	c.at.Store(0)
	return c.Conn.SetDeadline(t)
}
