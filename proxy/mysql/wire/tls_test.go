package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"testing"
	"time"
)

// joined puts head before what is written first.
type joined struct {
	net.Conn
	head []byte
}

func (j *joined) Write(p []byte) (int, error) {
	head := j.head
	j.head = nil
	n, err := j.Conn.Write(append(head, p...))
	return max(n-len(head), 0), err
}

// A client may send its first word of TLS together with the packet that asks for it.
func TestTLSBehindPackets(t *testing.T) {
	ts := httptest.NewUnstartedServer(nil) // it has a certificate at hand
	ts.StartTLS()
	defer ts.Close()
	server, client := pair(t, 100)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := client.Command([]byte("secure, please"))
		if err == nil {
			// The packet goes out in one write with what TLS begins with.
			client.Conn = &joined{Conn: client.Conn, head: client.out}
			client.out = nil
			_, err = client.DialTLS(ctx, &tls.Config{InsecureSkipVerify: true})
		}
		if err == nil {
			err = errors.Join(client.WritePacket([]byte("hidden")), client.Flush())
		}
		done <- err
	}()
	if p, err := server.ReadPacket(); err != nil || string(p) != "secure, please" {
		t.Fatalf("%q, %v", p, err)
	}
	if _, err := server.ServeTLS(ctx, ts.TLS); err != nil {
		t.Fatal(err)
	}
	if p, err := server.ReadPacket(); err != nil || string(p) != "hidden" {
		t.Errorf("%q, %v", p, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
