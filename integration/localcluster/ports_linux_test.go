package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A server can have a port that is reserved, as often as it likes, and a connection cannot.
func TestReservedPort(t *testing.T) {
	number := freePort(t)
	r, err := reservePorts(t.Context(), []port{{number, "a test"}}, 0, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		l, err := net.Listen("tcp", cluster.Address(number))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	if c, err := connectFrom(t, number); err == nil {
		c.Close()
		t.Error("a connection was given a reserved port")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	c, err := connectFrom(t, number)
	if err != nil {
		t.Fatalf("a connection is not given a free port: %v", err)
	}
	c.Close()
}

func TestPortOfAServerIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	number := l.Addr().(*net.TCPAddr).Port
	_, err = reservePorts(t.Context(), []port{{number, "mariadbd of node 2"}}, time.Hour, io.Discard)
	want := fmt.Sprintf("in use on this machine: port %d (mariadbd of node 2): localcluster.te (process %d) listens there.", number, os.Getpid())
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A port at the near end of a connection is waited for, and told of.
func TestPortOfAConnectionIsWaitedFor(t *testing.T) {
	number := freePort(t)
	c, err := connectFrom(t, number)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ports := []port{{number, "a test"}}
	_, err = reservePorts(t.Context(), ports, 0, io.Discard)
	for _, want := range []string{
		fmt.Sprintf("port %d (a test): localcluster.te (process %d) has a connection to 127.0.0.1:", number, os.Getpid()),
		fmt.Sprintf("With %d in net.ipv4.ip_local_reserved_ports (sysctl, as root)", number),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	_, err = reservePorts(ctx, ports, time.Hour, writerFunc(func([]byte) { cancel() }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}

	var out bytes.Buffer
	r, err := reservePorts(t.Context(), ports, time.Hour, writerFunc(func(b []byte) {
		out.Write(b)
		reset(t, c)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !strings.HasPrefix(out.String(), "Waiting up to 1h0m0s for port ") {
		t.Errorf("told %q", out.String())
	}
}

type writerFunc func([]byte)

func (w writerFunc) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// freePort returns one from the range of those for connections.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// connectFrom makes a connection on this machine for which the kernel may choose this port only.
func connectFrom(t *testing.T, number int) (net.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if controlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, number|number<<16)
		}); controlErr != nil {
			return controlErr
		}
		if errors.Is(err, unix.ENOPROTOOPT) {
			t.Skip("this kernel has no IP_LOCAL_PORT_RANGE")
		}
		return err
	}}
	return d.DialContext(t.Context(), "tcp4", l.Addr().String())
}

// reset ends a connection without TIME_WAIT.
func reset(t *testing.T, c net.Conn) {
	t.Helper()
	if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
		t.Error(err)
	}
}
