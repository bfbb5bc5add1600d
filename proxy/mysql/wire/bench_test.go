package wire

import (
	"bytes"
	"net"
	"testing"
)

// replay is a connection whose other end says the same again and again, and hears nothing.
type replay struct {
	net.Conn
	said []byte
	rest []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		r.rest = r.said
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *replay) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkRelayRow is rows of sysbench on their way through a node, as many as arrive together, without the network.
func BenchmarkRelayRow(b *testing.B) {
	row := bytes.Repeat([]byte{'x'}, 120)
	said := append([]byte{byte(len(row)), 0, 0, 1}, row...)
	server := NewConn(&replay{said: bytes.Repeat(said, 100)}, 1<<20)
	client := NewConn(&replay{}, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		if err := server.PassRows(client, true); err != nil {
			b.Fatal(err)
		}
		p, err := server.ReadPacket()
		if err != nil {
			b.Fatal(err)
		}
		if err := client.WritePacket(p); err != nil {
			b.Fatal(err)
		}
	}
}
