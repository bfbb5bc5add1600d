// Package redistest lets the tests of a package compare with a redis-server of their own.
package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// live is the redis-server that the tests of a package share; the first that needs it starts it.
var live struct {
	once sync.Once
	cmd  *exec.Cmd
	addr string
	err  error
}

// Run runs the tests, and ends the redis-server if one needed it. It is for TestMain.
func Run(m *testing.M) int {
	code := m.Run()
	if live.cmd != nil {
		_ = live.cmd.Process.Kill()
		_ = live.cmd.Wait()
	}
	return code
}

func startServer() (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no", "--dir", os.TempDir(), "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("redis-server is needed for this test: %w", err)
	}
	live.cmd = cmd
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr, nil
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("redis-server does not listen: %w", err)
		}
	}
}

// Client is a RESP2 connection to the live server.
type Client struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

// Dial connects to the redis-server of this package's tests.
func Dial(t *testing.T) *Client {
	t.Helper()
	live.once.Do(func() { live.addr, live.err = startServer() })
	if live.err != nil {
		t.Fatal(live.err)
	}
	c, err := net.Dial("tcp", live.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	cl := &Client{t: t, c: c, r: bufio.NewReader(c)}
	if got := cl.Do("COMMAND", "COUNT"); got != int64(240) {
		t.Fatalf("COMMAND COUNT = %v, want the 240 commands of Redis 7.0", got)
	}
	return cl
}

// Error is an error reply without its '-'.
type Error string

// Do sends a command and returns the reply: a string, an int64, nil, an Error, or a []any of them.
func (c *Client) Do(args ...string) any {
	c.t.Helper()
	return c.DoArgs(Words(args...))
}

// DoArgs is Do for arguments of any bytes.
func (c *Client) DoArgs(args [][]byte) any {
	c.t.Helper()
	buf := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		buf = fmt.Appendf(buf, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.c.Write(buf); err != nil {
		c.t.Fatal(err)
	}
	if err := c.c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	v, err := c.read()
	if err != nil {
		c.t.Fatalf("%q: %v", args, err)
	}
	return v
}

func (c *Client) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return text, nil
	case '-':
		return Error(text), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		b := make([]byte, n+2)
		_, err := io.ReadFull(c.r, b)
		return string(b[:n]), err
	case kind != '*':
		return nil, fmt.Errorf("unexpected reply %q", line)
	}
	list := make([]any, n)
	for i := range list {
		if list[i], err = c.read(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Words returns args as bytes.
func Words(args ...string) [][]byte {
	out := make([][]byte, len(args))
	for i, a := range args {
		out[i] = []byte(a)
	}
	return out
}
