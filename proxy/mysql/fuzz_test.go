package mysql

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// trusting is a backend whose server takes every login, and answers each command in the same way.
type trusting struct {
	Backend
	answers [][]byte
}

func (b *trusting) TLS() *tls.Config { return nil }

// greetingPacket is that of a MariaDB, with all capabilities.
func greetingPacket() []byte {
	p := append([]byte{10}, "10.11.0-fuzz\x00"...)
	p = append(p, 7, 0, 0, 0)                       // connection
	p = append(p, "12345678\x00"...)                // half of the salt
	p = append(p, 0xff, 0xf7, 45, 2, 0, 0xff, 0xff) // capabilities, collation, status, more capabilities
	p = append(p, 21)
	p = append(p, make([]byte, 10)...)
	return append(p, "123456789012\x00mysql_native_password\x00"...)
}

func (b *trusting) Version() string { return "10.11.0" }

func (b *trusting) Dial(context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		c := wire.NewConn(there, 1<<20)
		if c.WritePacket(greetingPacket()) != nil || c.Flush() != nil {
			return
		}
		for i := 0; ; i++ {
			if _, err := c.ReadPacket(); err != nil {
				return
			}
			if c.WritePacket(b.answers[i%len(b.answers)]) != nil || c.Flush() != nil {
				return
			}
		}
	}()
	return here, nil
}

// alwaysLeader is a node of one, for which all that is said is true.
type alwaysLeader struct{ Node }

func (alwaysLeader) Office() (uint64, bool) { return 1, true }
func (alwaysLeader) Status() raft.Status    { return raft.Status{ID: 1, Leader: 1, Role: "leader"} }
func (alwaysLeader) Read(ctx context.Context, fn func(context.Context) error) error {
	return fn(ctx)
}

// FuzzLogin lets a client send any bytes from the first one on. The node must not crash, nor keep the connection when
// the client is gone, and must not tell it that it may begin before the server has said so.
func FuzzLogin(f *testing.F) {
	response := append([]byte{0x8d, 0xa6, 0xff, 0, 0, 0, 0, 1, 45}, make([]byte, 23)...)
	response = append(response, "root\x00\x00mysql_native_password\x00"...)
	packet := func(seq byte, payload []byte) []byte {
		return append([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, seq}, payload...)
	}
	ok := []byte{wire.HeaderOK, 0, 0, 2, 0, 0, 0}
	refused := append([]byte{wire.HeaderError, 0x15, 0x04}, "#28000Access denied"...)
	f.Add(packet(1, response), ok)
	f.Add(packet(1, response), refused)
	f.Add(packet(1, response), append([]byte{0xfe}, "mysql_native_password\x0012345678901234567890\x00"...))
	f.Add(packet(1, response), []byte{1, 3})
	f.Add(append(packet(1, response), packet(0, []byte{wire.ComPing})...), ok)
	f.Add(packet(1, response[:32]), ok)                               // asks for TLS
	f.Add(packet(1, append([]byte{0, 0, 0, 0}, response[4:]...)), ok) // no protocol 4.1
	f.Add([]byte{0xff, 0xff, 0xff, 1, 0}, ok)                         // announces 16 MB
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"), ok)
	f.Fuzz(func(t *testing.T, sent, answer []byte) {
		if len(answer) == 0 || len(answer) > 1<<16 || len(sent) > 1<<17 {
			return
		}
		cfg := NewConfig()
		cfg.Logger = slog.New(slog.DiscardHandler)
		cfg.HandshakeTimeout = 10 * time.Second
		s, err := New(cfg, alwaysLeader{}, &trusting{answers: [][]byte{answer}})
		if err != nil {
			t.Fatal(err)
		}
		here, served := serveOnPipe(s)
		read := make(chan struct{})
		go func() {
			defer close(read)
			client := wire.NewConn(here, 1<<24)
			for n := 0; ; n++ {
				p, err := client.ReadPacket()
				if err != nil {
					return
				}
				if n == 1 && len(p) > 0 && p[0] == wire.HeaderOK && answer[0] != wire.HeaderOK {
					t.Errorf("the client was let in, the server said %q", answer)
				}
			}
		}()
		_, _ = here.Write(sent) // it may be closed before all is sent
		here.Close()
		<-read
		<-served
	})
}

// Nobody is let in whom the server refuses, and what comes before the login is bounded.
func TestLoginIsBounded(t *testing.T) {
	cfg := NewConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := New(cfg, alwaysLeader{}, &trusting{answers: [][]byte{{wire.HeaderOK, 0, 0, 2, 0, 0, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	here, served := serveOnPipe(s)
	go func() { _, _ = io.Copy(io.Discard, here) }()
	if _, err := here.Write(append([]byte{1, 0, 1, 1}, make([]byte, 1<<16)...)); err == nil { // of 65537 bytes
		if _, err := here.Write(make([]byte, 1<<16)); err == nil {
			t.Error("a login of 65537 bytes and more is read")
		}
	}
	<-served
}

// serveOnPipe serves a client, whose end it returns, up to the end of its connection; served is closed then.
func serveOnPipe(s *Server) (here net.Conn, served <-chan struct{}) {
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve(&connection{client: there, close: func() { there.Close() }})
		there.Close()
	}()
	return here, done
}
