package guard

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// A client that never ends its handshake is let go of.
func TestHandshakeTimeout(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := NewListener(NewTLSListener(inner, &tls.Config{}, 50*time.Millisecond), DefaultLimits())
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 100))
		failed <- err
	}()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("nothing was sent, and yet something was read")
		}
	case <-time.After(40 * time.Second):
		t.Error("the handshake has no end")
	}
}
