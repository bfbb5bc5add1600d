package guard

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tidwall/redcon"
)

// loopConn delivers the same packet on every read, for ever.
type loopConn struct {
	net.Conn
	packet []byte
}

func (l *loopConn) Read(p []byte) (int, error) {
	if len(p) < len(l.packet) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, l.packet), nil
}

func BenchmarkRead(b *testing.B) {
	set := encode([]string{"SET", "key:000000000001", "value-of-32-bytes-0123456789abcd"})
	for _, bc := range []struct {
		name   string
		packet string
	}{
		{"one", set},
		{"pipeline16", strings.Repeat(set, 16)},
		{"inline", "SET key:000000000001 value\r\n"},
		{"mset100", encode(append([]string{"MSET"}, strings.Fields(strings.Repeat("k v ", 100))...))},
	} {
		b.Run(bc.name, func(b *testing.B) {
			c := guardOn(&loopConn{packet: []byte(bc.packet)}, DefaultLimits())
			p := make([]byte, redconBuffer)
			b.ReportAllocs()
			b.SetBytes(int64(len(bc.packet)))
			for b.Loop() {
				if _, err := c.Read(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadLarge(b *testing.B) {
	for _, size := range []int{100 << 10, 10 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			packet := []byte(encode([]string{"SET", "k", strings.Repeat("x", size)}))
			p := make([]byte, 64<<10)
			b.ReportAllocs()
			b.SetBytes(int64(len(packet)))
			s := &scriptConn{}
			c := guardOn(s, DefaultLimits())
			for b.Loop() {
				s.pieces = [][]byte{packet}
				for got := 0; got < len(packet); {
					n, err := c.Read(p)
					if err != nil {
						b.Fatal(err)
					}
					got += n
				}
			}
		})
	}
}

// What the guard adds to redcon over loopback, 16 commands per packet.
func BenchmarkLoopback(b *testing.B) {
	handler := func(conn redcon.Conn, _ redcon.Command) { conn.WriteString("OK") }
	packet := []byte(strings.Repeat(encode([]string{"SET", "key:000000000001", "v"}), 16))
	for _, guarded := range []bool{false, true} {
		b.Run(fmt.Sprintf("guard=%v", guarded), func(b *testing.B) {
			ln := mustListen(b)
			if guarded {
				ln = NewListener(ln, DefaultLimits())
			}
			srv := redcon.NewServer("", handler, nil, nil)
			go func() { _ = srv.Serve(ln) }()
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			reply := make([]byte, 16*len("+OK\r\n"))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(packet); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, reply); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_ = ln.Close()
		})
	}
}

// A stream of requests just large enough for the ballast.
func BenchmarkLoopbackFat(b *testing.B) {
	for _, size := range []int{fatFrame - 100, fatFrame + 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			v := startVictim(b, mustListen(b), DefaultLimits())
			c := mustDial(b, v.addr)
			packet := []byte(encode([]string{"SET", "k", strings.Repeat("x", size)}))
			reply := make([]byte, len("+PONG\r\n"))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(packet); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, reply); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_ = c.Close()
		})
	}
}
