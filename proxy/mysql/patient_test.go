package mysql

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A client that stands still is given up, also where a deadline of the login was taken away before.
func TestPatient(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	c := &patient{Conn: here, patience: 20 * time.Millisecond}
	defer c.Close()
	go func() {
		one := make([]byte, 1)
		_, _ = there.Read(one) // and then nothing more
	}()
	if _, err := c.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("b")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
