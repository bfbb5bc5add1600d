package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
)

// ServeTLS goes on behind TLS as its server. It returns what was agreed on.
func (c *Conn) ServeTLS(ctx context.Context, cfg *tls.Config) (tls.ConnectionState, error) {
	// The client does not wait between the packet that asks for TLS and its first word of it.
	return c.secure(ctx, tls.Server(&readAhead{c.Conn, c.in}, cfg))
}

// DialTLS goes on behind TLS as its client.
func (c *Conn) DialTLS(ctx context.Context, cfg *tls.Config) (tls.ConnectionState, error) {
	return c.secure(ctx, tls.Client(c.Conn, cfg))
}

func (c *Conn) secure(ctx context.Context, t *tls.Conn) (tls.ConnectionState, error) {
	if err := t.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, fmt.Errorf("TLS with %s: %w", c.RemoteAddr(), err)
	}
	c.Conn = t
	c.in = bufio.NewReaderSize(t, readBuffer) // the old one is below
	return t.ConnectionState(), nil
}

// readAhead is a connection of which something was read already.
type readAhead struct {
	net.Conn
	in io.Reader
}

func (r *readAhead) Read(p []byte) (int, error) { return r.in.Read(p) }
