package wire

import (
	"net"
	"testing"
	"time"
)

// connected returns both ends of a connection.
func connected(t *testing.T) (here, there net.Conn) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	here, err = net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err = lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

// Whoever awaits several packets gets them whether they come together, one by one, or in part before he looks.
func TestAwait(t *testing.T) {
	here, there := connected(t)
	a, b := NewConn(here, 100), NewConn(there, 100)
	defer a.Close()
	defer b.Close()
	answer := func(n int) {
		for range n {
			b.Seq = 1
			if err := b.WritePacket(OK(2)); err != nil {
				t.Error(err)
			}
		}
		if err := b.Flush(); err != nil {
			t.Error(err)
		}
	}
	read := func(n int) {
		t.Helper()
		for range n {
			if err := here.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if p, err := a.ReadPacket(); err != nil || len(p)+headerSize != LeastAnswer {
				t.Fatalf("got %v, %v, want an answer of %d bytes", p, err, LeastAnswer)
			}
		}
	}

	a.Await(3 * LeastAnswer)
	answer(3)
	read(3)
	answer(1) // nothing is awaited any more
	read(1)

	a.Await(3 * LeastAnswer)
	answer(1)
	read(1) // in part, and there already
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer(1)
		answer(1)
	}()
	read(2)
	<-done

	a.Await(3 * LeastAnswer)
	answer(1)
	b.Close()
	read(1)
	if _, err := a.ReadPacket(); err == nil {
		t.Error("the other end has closed the connection, and nobody noticed")
	}
}
