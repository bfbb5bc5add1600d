package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestFidelity compares the replies of a cluster with those of a plain redis-server, byte for byte, in both protocols.
func TestFidelity(t *testing.T) {
	t.Parallel()
	corpus := readCorpus(t)
	if len(corpus) < 300 {
		t.Fatalf("the corpus has %d commands, want at least 300", len(corpus))
	}
	want := make(map[int][][]byte)
	for _, protocol := range []int{2, 3} {
		plain, other := dialRaw(t, startRedis(t).Addr(), protocol), dialRaw(t, startRedis(t).Addr(), protocol)
		for _, command := range corpus {
			reply := must(plain.do(command))(t)
			if again := must(other.do(command))(t); !cluster.SameReply(command, string(reply), string(again)) {
				t.Errorf("%q does not belong in the corpus: one redis-server answers %q, another %q", command, reply, again)
			}
			want[protocol] = append(want[protocol], reply)
		}
	}
	if t.Failed() {
		return
	}

	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	for name, n := range map[string]*cluster.Node{"leader": must(c.Leader(ctx))(t), "follower": must(c.Follower(ctx))(t)} {
		for protocol, want := range want {
			name := fmt.Sprintf("%s, RESP%d", name, protocol)
			check(t, client(t, n, 0).FlushAll(ctx).Err())
			t.Run(name, func(t *testing.T) {
				conn := dialRaw(t, n.Addr(), protocol)
				for i, command := range corpus {
					if got := must(conn.do(command))(t); !cluster.SameReply(command, string(got), string(want[i])) {
						t.Errorf("%q\n  cluster %q\n  redis   %q", command, got, want[i])
					}
				}
			})
			check(t, client(t, n, 0).FlushAll(ctx).Err())
			t.Run(name+", pipelined", func(t *testing.T) {
				conn := dialRaw(t, n.Addr(), protocol)
				got := must(conn.pipeline(corpus))(t)
				for i, command := range corpus {
					if !cluster.SameReply(command, string(got[i]), string(want[i])) {
						t.Errorf("%q\n  cluster %q\n  redis   %q", command, got[i], want[i])
					}
				}
			})
		}
	}
	if _, err := c.AwaitEqual(within(t, 40*time.Second)); err != nil {
		t.Error(err)
	}
}

// TestDigestsAfterCorpus runs the corpus without its end, which empties everything, and compares the backends.
func TestDigestsAfterCorpus(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	conn := dialRaw(t, c.Nodes[1].Addr(), 2)
	for _, command := range readCorpus(t) {
		switch strings.ToUpper(command[0]) {
		case "FLUSHALL", "FLUSHDB", "SWAPDB":
		default:
			must(conn.do(command))(t)
		}
	}
	state := must(c.AwaitEqual(within(t, 40*time.Second)))(t)
	if len(state) < 30 {
		t.Errorf("the corpus leaves %d keys, want many: %v", len(state), state)
	}
}

func readCorpus(t *testing.T) [][]string {
	t.Helper()
	f := must(os.Open(filepath.Join("testdata", "corpus.txt")))(t)
	defer f.Close()
	var corpus [][]string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		corpus = append(corpus, must(splitWords(line))(t))
	}
	check(t, scanner.Err())
	return corpus
}

// splitWords splits at spaces; a word in double quotes is a Go string.
func splitWords(line string) ([]string, error) {
	var words []string
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			words, line = append(words, word), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		words, line = append(words, word), rest
	}
	return words, nil
}

// rawConn speaks RESP2 or RESP3 and hands out replies as the bytes that came.
type rawConn struct {
	conn net.Conn
	r    *bufio.Reader
}

func newRawConn(conn net.Conn) *rawConn { return &rawConn{conn: conn, r: bufio.NewReader(conn)} }

func dialRaw(t *testing.T, addr string, protocol int) *rawConn {
	t.Helper()
	conn := must(net.DialTimeout("tcp", addr, 5*time.Second))(t)
	t.Cleanup(func() { conn.Close() })
	c := newRawConn(conn)
	if reply := must(c.do([]string{"HELLO", strconv.Itoa(protocol)}))(t); reply[0] == '-' {
		t.Fatalf("HELLO %d: %q", protocol, reply)
	}
	return c
}

func (c *rawConn) do(command []string) ([]byte, error) {
	replies, err := c.pipeline([][]string{command})
	if err != nil {
		return nil, fmt.Errorf("%q: %w", command, err)
	}
	return replies[0], nil
}

// pipeline sends all commands before it reads the first reply.
func (c *rawConn) pipeline(commands [][]string) ([][]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, command := range commands {
		fmt.Fprintf(&b, "*%d\r\n", len(command))
		for _, word := range command {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(b.Bytes())
		sent <- err
	}()
	replies := make([][]byte, 0, len(commands))
	for range commands {
		reply, err := c.reply(nil)
		if err != nil {
			c.conn.Close()
			return nil, errors.Join(err, <-sent)
		}
		replies = append(replies, reply)
	}
	return replies, <-sent
}

// reply appends the next reply to dst.
func (c *rawConn) reply(dst []byte) ([]byte, error) {
	line, err := c.r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	dst = append(dst, line...)
	switch line[0] {
	case '+', '-', ':', '_', ',', '#', '(':
		return dst, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	if err != nil {
		return nil, err
	}
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return dst, nil
		}
		bulk := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, bulk); err != nil {
			return nil, err
		}
		return append(dst, bulk...), nil
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return nil, fmt.Errorf("no reply of RESP2 or RESP3: %q", line)
	}
	for range n {
		if dst, err = c.reply(dst); err != nil {
			return nil, err
		}
	}
	return dst, nil
}
