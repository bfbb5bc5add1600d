package lan

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// pair returns a network of two hosts, a and b.
func pair(t *testing.T) *LAN {
	t.Helper()
	l, err := New("a", "b")
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// socket returns one for datagrams at a host.
func socket(t *testing.T, l *LAN, name string) net.PacketConn {
	t.Helper()
	var conn net.PacketConn
	err := In(l.Namespace(name), func() (err error) {
		conn, err = net.ListenPacket("udp4", net.JoinHostPort(l.Addr(name), "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send sends numbered datagrams, a few at a time, so that no buffer overflows.
func send(t *testing.T, from, to net.PacketConn, n int) {
	t.Helper()
	for i := range n {
		if _, err := from.WriteTo(fmt.Append(nil, i), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			time.Sleep(time.Millisecond)
		}
	}
}

// receive returns what arrives until nothing does for a while. What must arrive is waited for.
func receive(t *testing.T, at net.PacketConn, least int) (numbers []int) {
	t.Helper()
	buf := make([]byte, 100)
	for {
		patience := 300 * time.Millisecond
		if len(numbers) < least {
			patience = 40 * time.Second
		}
		if err := at.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, _, err := at.ReadFrom(buf)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return numbers
		}
		if err != nil {
			t.Fatal(err)
		}
		var number int
		if _, err := fmt.Sscan(string(buf[:n]), &number); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
	}
}

func TestRules(t *testing.T) {
	const sent = 120 // no more than a socket holds
	overtakes := func(numbers []int) bool {
		for i := 1; i < len(numbers); i++ {
			if numbers[i] < numbers[i-1] {
				return true
			}
		}
		return false
	}
	for _, c := range []struct {
		name        string
		rule        Rule
		least, most int
		overtakes   bool
	}{
		{"nothing", Rule{}, sent, sent, false},
		{"drop", Rule{Drop: true}, 0, 0, false},
		{"loss", Rule{Loss: 0.5}, sent / 4, sent * 3 / 4, false},
		{"repeat", Rule{Repeat: 0.5}, sent * 5 / 4, sent * 7 / 4, false},
		{"delay", Rule{Delay: 20 * time.Millisecond}, sent, sent, false},
		{"jitter", Rule{Jitter: 50 * time.Millisecond}, sent, sent, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := pair(t)
			a, b := socket(t, l, "a"), socket(t, l, "b")
			l.Set("a", "b", func(r *Rule) { *r = c.rule })
			send(t, a, b, sent)
			got := receive(t, b, c.least)
			if len(got) < c.least || len(got) > c.most || overtakes(got) != c.overtakes {
				t.Errorf("%d of %d arrived, overtaking: %v; want %d to %d, %v", len(got), sent, overtakes(got), c.least, c.most, c.overtakes)
			}
			// The other direction, and this process, are not concerned.
			send(t, b, a, 20)
			if got := receive(t, a, 20); len(got) != 20 {
				t.Errorf("%d of 20 arrived the other way", len(got))
			}
			out := socket(t, l, Outside)
			send(t, out, b, 20)
			if got := receive(t, b, 20); len(got) != 20 {
				t.Errorf("%d of 20 arrived from outside", len(got))
			}
			l.Heal()
			send(t, a, b, 20)
			if got := receive(t, b, 20); len(got) != 20 {
				t.Errorf("%d of 20 arrived when all was healed", len(got))
			}
		})
	}
}

func TestDelay(t *testing.T) {
	l := pair(t)
	a, b := socket(t, l, "a"), socket(t, l, "b")
	l.Set("a", "b", func(r *Rule) { r.Delay = 50 * time.Millisecond })
	begin := time.Now()
	send(t, a, b, 1)
	receive(t, b, 1)
	if took := time.Since(begin) - 300*time.Millisecond; took < 50*time.Millisecond {
		t.Errorf("arrived after %v, want at least 50ms", took)
	}
}
