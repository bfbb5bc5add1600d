package guard

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// NewTLSListener puts TLS behind what inner accepts. A client has timeout for the handshake, which takes place when its
// connection is first read or written, so that one that is slow holds up nobody else.
func NewTLSListener(inner net.Listener, cfg *tls.Config, timeout time.Duration) net.Listener {
	return &tlsListener{Listener: inner, config: cfg, timeout: timeout}
}

type tlsListener struct {
	net.Listener
	config  *tls.Config
	timeout time.Duration
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	raw, _ := stamped(c)
	return &tlsConn{Conn: tls.Server(raw, l.config), timeout: l.timeout}, nil
}

// tlsConn bounds the handshake. It is read by one goroutine.
type tlsConn struct {
	*tls.Conn
	timeout time.Duration
	greeted bool
}

func (c *tlsConn) Read(p []byte) (int, error) {
	if !c.greeted {
		ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
		err := c.HandshakeContext(ctx)
		cancel()
		if err != nil {
			return 0, err
		}
		c.greeted = true
	}
	return c.Conn.Read(p)
}
