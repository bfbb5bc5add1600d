package wire

import (
	"bytes"
	"errors"
	"net"
	"testing"
)

func pair(t *testing.T, limit int) (a, b *Conn) {
	t.Helper()
	x, y := net.Pipe()
	t.Cleanup(func() { x.Close(); y.Close() })
	return NewConn(x, limit), NewConn(y, limit)
}

func TestPacketsOfAllSizes(t *testing.T) {
	for _, size := range []int{0, 1, 250, 65 << 10, MaxPayload - 1, MaxPayload, MaxPayload + 1, 2*MaxPayload + 5} {
		a, b := pair(t, 64<<20)
		want := bytes.Repeat([]byte{7}, size)
		done := make(chan error, 1)
		go func() {
			err := a.Command(want)
			done <- errors.Join(err, a.Flush())
		}()
		got, err := b.ReadPacket()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if a.Seq != b.Seq {
			t.Errorf("%d bytes: packet %d is next for one, %d for the other", size, a.Seq, b.Seq)
		}
	}
}

func TestTooLong(t *testing.T) {
	a, b := pair(t, 100)
	go func() {
		_ = a.Command(make([]byte, 101))
		_ = a.Flush()
	}()
	if _, err := b.ReadPacket(); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
}

func TestRewind(t *testing.T) {
	a, b := pair(t, 100)
	_ = a.Command([]byte("kept"))
	m := a.Mark()
	_ = a.WritePacket([]byte("forgotten"))
	a.Rewind(m)
	asked := 0
	a.BeforeFlush = func() error { asked++; return nil }
	go func() { _ = a.WritePacket([]byte("next")); _ = a.Flush() }()
	for _, want := range []string{"kept", "next"} {
		if got, err := b.ReadPacket(); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times before a flush", asked)
	}
}

func TestStatusAt(t *testing.T) {
	for _, tc := range []struct {
		packet []byte
		eof    bool
		want   int
	}{
		{OK(3), true, 3},
		{[]byte{0, 0xfc, 1, 2, 5, 9, 9, 0, 0}, true, 5},
		{[]byte{0xfe, 0, 0, 2, 0}, false, 3},
		{[]byte{0xfe, 0, 0, 2, 0, 0, 0}, true, 3},
		{[]byte{0xfe, 0}, false, -1},
		{[]byte{0, 0xfe}, true, -1},
		{nil, true, -1},
	} {
		if got := StatusAt(tc.packet, tc.eof); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.packet, got, tc.want)
		}
	}
}

// FuzzParse feeds what a server or client could send to all that takes packets apart.
func FuzzParse(f *testing.F) {
	f.Add([]byte{10, '1', 0, 1, 2, 3, 4})
	f.Add((&Error{Code: 1, State: "HY000", Message: "m"}).Packet())
	f.Add(OK(2))
	f.Fuzz(func(_ *testing.T, p []byte) {
		_ = ParseError(p)
		if g, err := ParseGreeting(p); err == nil {
			_ = g.Packet(g.Capabilities, g.Extended)
		}
		for _, eof := range []bool{false, true} {
			_ = StatusAt(p, eof)
			_ = IsEnd(p, eof)
		}
		for rest, ok := p, true; ok && len(rest) > 0; {
			_, _, rest, ok = Text(rest)
		}
	})
}
