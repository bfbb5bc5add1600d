package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

func TestCompressed(t *testing.T) {
	here, there := net.Pipe()
	a, b := NewConn(here, 1<<30), NewConn(there, 1<<30)
	a.Compress()
	b.Compress()
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	sent := [][]byte{{}, []byte("short"), bytes.Repeat([]byte("long"), 1000), noise, bytes.Repeat([]byte("very long"), 2<<20)}
	done := make(chan error, 1)
	go func() {
		for _, p := range sent {
			if err := errors.Join(a.WritePacket(p), a.Flush()); err != nil {
				done <- err
				return
			}
		}
		done <- a.Conn.Close()
	}()
	for i, want := range sent {
		got, err := b.ReadPacket()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("packet %d: %d bytes, %v", i, len(got), err)
		}
	}
	if _, err := b.ReadPacket(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// FuzzCompressed feeds what a client could send.
func FuzzCompressed(f *testing.F) {
	f.Add([]byte{5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3})
	f.Add([]byte{5, 0, 0, 0, 9, 0, 0, 0x78, 0x9c, 1, 2, 3})
	f.Fuzz(func(_ *testing.T, data []byte) {
		here, there := net.Pipe()
		go func() {
			_, _ = there.Write(data) // until the reader has enough
			there.Close()
		}()
		c := NewConn(here, 1<<20)
		c.Compress()
		for {
			if _, err := c.ReadPacket(); err != nil {
				break
			}
		}
		here.Close()
	})
}
