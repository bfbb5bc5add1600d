package guard

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// scriptConn is a client whose bytes arrive in the given pieces. It ends with
// io.EOF and keeps what is written to it.
type scriptConn struct {
	net.Conn // nil: what is not overridden must not be called
	pieces   [][]byte
	wrote    bytes.Buffer
	closed   int
}

func (s *scriptConn) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *scriptConn) Write(p []byte) (int, error)      { return s.wrote.Write(p) }
func (s *scriptConn) Close() error                     { s.closed++; return nil }
func (s *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (s *scriptConn) SetWriteDeadline(time.Time) error { return nil }

// guardOn puts a Conn on inner without a listener in front.
func guardOn(inner net.Conn, limits Limits) *Conn {
	ln := NewListener(nil, limits)
	return ln.admit(inner)
}

// outcome is everything a client and redcon can see of a connection.
type outcome struct {
	handed string
	reply  string
	err    error
}

// run feeds pieces to a Conn and reads it to its end with buffers of size p.
func run(limits Limits, authenticated bool, p int, pieces ...[]byte) outcome {
	s := &scriptConn{pieces: pieces}
	c := guardOn(s, limits)
	c.SetAuthenticated(authenticated)
	var got bytes.Buffer
	buf := make([]byte, p)
	for {
		n, err := c.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			return outcome{got.String(), s.wrote.String(), err}
		}
		if n == 0 {
			return outcome{got.String(), s.wrote.String(), errors.New("Read returned nothing")}
		}
	}
}

func encode(cmds ...[]string) string {
	var b []byte
	for _, cmd := range cmds {
		args := make([][]byte, len(cmd))
		for i, a := range cmd {
			args[i] = []byte(a)
		}
		b = appendFrame(b, args)
	}
	return string(b)
}

func mustListen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func mustDial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 40*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	// Some of what is sent takes a minute under the race detector, on a busy machine.
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// startRedis runs a redis-server of its own until the test ends.
func startRedis(t testing.TB, args ...string) string {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("this test compares with the real server: %v", err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := cluster.Address(port)
	cmd := exec.Command(bin, append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", t.TempDir(), "--loglevel", "warning",
	}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, "redis-server to listen on "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}

// readReply returns the raw bytes of one RESP2 reply.
func readReply(r *bufio.Reader) (string, error) {
	head, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	n := 0
	if head[0] == '$' || head[0] == '*' {
		if n, err = strconv.Atoi(strings.TrimSpace(head[1:])); err != nil {
			return "", fmt.Errorf("reply %q: %w", head, err)
		}
	}
	switch {
	case head[0] == '$' && n >= 0:
		body := make([]byte, n+2)
		_, err = io.ReadFull(r, body)
		return head + string(body), err
	case head[0] == '*':
		for range n {
			item, err := readReply(r)
			if err != nil {
				return "", err
			}
			head += item
		}
	}
	return head, nil
}
