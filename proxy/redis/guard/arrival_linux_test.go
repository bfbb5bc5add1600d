package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// dialGuarded returns both ends of a connection.
func dialGuarded(t *testing.T, ln *Listener) (client net.Conn, server *Conn) {
	t.Helper()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return client, accepted.(*Conn)
}

func listenGuarded(t *testing.T) *Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := NewListener(inner, DefaultLimits())
	t.Cleanup(func() { ln.Close() })
	return ln
}

// exchange has the server read what the client sends.
func exchange(t *testing.T, client net.Conn, server *Conn) {
	t.Helper()
	if _, err := io.WriteString(client, "PING\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
}

// awaitStamps returns when the kernel stamps.
func awaitStamps(t *testing.T, client net.Conn, server *Conn) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(time.Millisecond) {
		exchange(t, client, server)
		if server.stamper.stamp() != 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the kernel does not stamp")
		}
	}
}

// Whichever is read first, what was sent first arrived first.
func TestArrivedInTheOrderOfSending(t *testing.T) {
	ln := listenGuarded(t)
	var clients []net.Conn
	var servers []*Conn
	for range 5 {
		client, server := dialGuarded(t, ln)
		awaitStamps(t, client, server)
		clients, servers = append(clients, client), append(servers, server)
	}
	since := time.Now()
	for range 20 {
		for _, client := range clients {
			if _, err := io.WriteString(client, "PING\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		sent := time.Now()
		arrived := make([]time.Time, len(servers))
		for i, server := range slices.Backward(servers) {
			if _, err := server.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			arrived[i] = server.Arrived(time.Now(), since)
		}
		if !slices.IsSortedFunc(arrived, time.Time.Compare) || arrived[0].Before(since) || arrived[0].IsZero() {
			t.Fatalf("arrived %v, sent from %v to %v", arrived, since, sent)
		}
		since = time.Now()
	}
}

// The kernel's clock can be set, and a client may have sent before it had its last answer.
func TestArrivedIsBounded(t *testing.T) {
	client, server := dialGuarded(t, listenGuarded(t))
	if at := server.Arrived(time.Now(), time.Time{}); !at.IsZero() {
		t.Errorf("arrived at %v before anything was read", at)
	}
	awaitStamps(t, client, server)
	now := time.Now()
	for _, wrong := range []time.Duration{-time.Hour, time.Hour} {
		server.stamper.(*stampedConn).last = now.Add(wrong).UnixNano()
		if at := server.Arrived(now, time.Time{}); !at.Equal(now) {
			t.Errorf("with a clock that is wrong by %v, arrived %v ago", wrong, now.Sub(at))
		}
	}
	server.stamper.(*stampedConn).last = now.Add(-time.Millisecond).UnixNano()
	if at := server.Arrived(now, now.Add(-time.Microsecond)); now.Sub(at) != time.Microsecond {
		t.Errorf("arrived %v ago, a microsecond after the last answer", now.Sub(at))
	}
}

// What a watcher has read has its time too.
func TestArrivedWhileWatched(t *testing.T) {
	client, server := dialGuarded(t, listenGuarded(t))
	awaitStamps(t, client, server)
	since := time.Now()
	_, stop := server.WatchDisconnect(context.Background())
	if _, err := io.WriteString(client, "PING\r\n"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(time.Millisecond) {
		stop()
		if len(server.ahead) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the watcher does not read")
		}
		_, stop = server.WatchDisconnect(context.Background())
	}
	if _, err := server.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if at := server.Arrived(now, time.Time{}); at.Before(since) || !at.Before(now) {
		t.Errorf("arrived %v after, and %v ago", at.Sub(since), now.Sub(at))
	}
}

// TLS stands between, and what it reads has arrived below.
func TestArrivedThroughTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := NewListener(NewTLSListener(inner, &tls.Config{Certificates: web.TLS.Certificates}, 10*time.Second), DefaultLimits())
	defer ln.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	plain := listenGuarded(t)
	first, stamps := dialGuarded(t, plain)
	awaitStamps(t, first, stamps)
	raw, server := dialGuarded(t, ln)
	client := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(client, "PING\r\n")
		sent <- err
	}()
	if _, err := server.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if at := server.Arrived(now, server.Opened()); at.IsZero() || !at.Before(now) || at.Before(server.Opened()) {
		t.Errorf("arrived at %v, now is %v", at, now)
	}
}
