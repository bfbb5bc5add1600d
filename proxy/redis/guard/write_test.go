package guard

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

func TestWriteSlowButReading(t *testing.T) {
	limits := DefaultLimits()
	limits.WriteTimeout = 800 * time.Millisecond
	for _, inner := range []string{"tcp", "pipe"} {
		t.Run(inner, func(t *testing.T) {
			c, client := pair(t, limits)
			size, step := 8<<20, 512<<10
			if inner == "pipe" {
				var server net.Conn
				server, client = net.Pipe()
				c = guardOn(server, limits)
				// Less than a chunk per timeout: only progress keeps it alive.
				size, step = 200<<10, 10<<10
			}
			want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			result := make(chan error, 1)
			begin := time.Now()
			go func() {
				_, err := c.Write(want)
				result <- err
			}()
			got := make([]byte, len(want))
			for at := 0; at < len(got); at += step {
				time.Sleep(150 * time.Millisecond)
				if _, err := io.ReadFull(client, got[at:at+step]); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-result; err != nil || !bytes.Equal(got, want) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(begin); took < 2*limits.WriteTimeout {
				t.Errorf("took only %v, proves nothing", took)
			}
		})
	}
}

func TestWriteNotReading(t *testing.T) {
	limits := DefaultLimits()
	limits.WriteTimeout = 100 * time.Millisecond
	c, _ := pair(t, limits)
	n, err := c.Write(make([]byte, 64<<20))
	if !errors.Is(err, ErrSlowClient) || n == 0 || n == 64<<20 {
		t.Errorf("wrote %d, error %v", n, err)
	}
	if c.ln.Conns() != 0 {
		t.Error("not closed")
	}
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("Write after close succeeded")
	}
}

// A deadline from outside is kept and does not close.
func TestWriteDeadline(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	c := guardOn(server, DefaultLimits())
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if c.ln.Conns() != 1 {
		t.Error("closed")
	}
}

// Replies of concurrent writers do not mix.
func TestWriteConcurrent(t *testing.T) {
	c, client := pair(t, DefaultLimits())
	const size = 3 * writeChunk
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := c.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
				t.Error(err)
			}
		})
	}
	got := make([]byte, 4*size)
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for at := 0; at < len(got); at += size {
		if !bytes.Equal(got[at:at+size], bytes.Repeat(got[at:at+1], size)) {
			t.Fatal("mixed")
		}
	}
}

// deadlines counts how often the deadline of writes is set.
type deadlines struct {
	net.Conn
	set []time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

func (d *deadlines) Write(p []byte) (int, error) { return len(p), nil }

// A deadline that leaves time enough is not set anew, and no other than the one that holds.
func TestWriteKeepsDeadline(t *testing.T) {
	inner := &deadlines{}
	c := guardOn(inner, DefaultLimits())
	write := func(set int) {
		t.Helper()
		begun := time.Now()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if len(inner.set) != set {
			t.Fatalf("set %d times, want %d", len(inner.set), set)
		}
		if c.writeDeadline.IsZero() && c.armed.Sub(begun) < c.ln.limits.WriteTimeout {
			t.Errorf("leaves %v", c.armed.Sub(begun))
		}
	}
	write(1)
	write(1)
	c.armed = time.Now().Add(c.ln.limits.WriteTimeout - time.Nanosecond)
	write(2)
	earlier := time.Now().Add(c.ln.limits.WriteTimeout / 2)
	if err := c.SetWriteDeadline(earlier); err != nil {
		t.Fatal(err)
	}
	write(4)
	write(5)
	if last := inner.set[len(inner.set)-1]; !last.Equal(earlier) {
		t.Errorf("the deadline is %v, want %v", last, earlier)
	}
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	write(7)
	write(7)
}
