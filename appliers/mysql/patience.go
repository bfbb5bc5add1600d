package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Rows, schema changes and restores take as long as they take: rows of a table without a key are looked for one by one, and a
// large table is altered for minutes. To break them off and begin again would be to do so for ever. So their connection bears
// silence for as long as the server answers on another one.

// patientConn is the network connection of one to the server. Its reads end early only where nothing is to be expected any more.
type patientConn struct {
	net.Conn
	timeout time.Duration
	// answers returns nil while the server answers others.
	answers func(context.Context) error
	patient atomic.Bool
	ctx     context.Context // until ended
	cancel  context.CancelFunc
	mu      sync.Mutex // a deadline that was moved must not move back the one of the end
}

func newPatientConn(c net.Conn, timeout time.Duration, answers func(context.Context) error) *patientConn {
	p := &patientConn{Conn: c, timeout: timeout, answers: answers}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Read implements net.Conn.
func (c *patientConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || !c.patient.Load() || !errors.Is(err, os.ErrDeadlineExceeded) || c.ctx.Err() != nil {
			return n, err
		}
		if dead := c.answers(c.ctx); dead != nil {
			return 0, fmt.Errorf("%w, and nothing on another connection: %w", err, dead)
		}
		if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
			return 0, err
		}
	}
}

// SetReadDeadline implements net.Conn.
func (c *patientConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// end ends what is being read and written, and what will be.
func (c *patientConn) end() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.SetDeadline(time.Unix(1, 0))
}

// Close implements net.Conn.
func (c *patientConn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

// patiently lets the connection bear silence until the returned function is called.
func (k *conn) patiently() (end func()) {
	k.net.patient.Store(true)
	return func() { k.net.patient.Store(false) }
}

// until ends the connection when ctx ends, unless stop is called before.
func (k *conn) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, k.net.end)
}

// answers returns nil if the server, which is being waited for, answers on another connection, and be it that it refuses one.
func (b *Backend) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.ReplyTimeout)
	defer cancel()
	k, err := b.connect(ctx)
	if err == nil {
		k.close()
	} else if serverCode(err) == 0 {
		return err
	}
	b.log.Info("what the server executes for this node takes long, and is waited for", "addr", b.cfg.Addr)
	return nil
}
