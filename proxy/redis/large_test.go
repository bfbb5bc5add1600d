package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fullSizes makes the tests of this file as large as the limits they are about.
const fullSizes = "NEXUS_FULL_SIZES"

// size returns small, or full if the environment asks for it.
func size(small, full int) int {
	if os.Getenv(fullSizes) != "" {
		return full
	}
	return small
}

// inUse is what the process holds on its heap and on the stacks of its goroutines, in bytes.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// pattern is a reader of n bytes that are all of the 256, and a sum to know them by.
type pattern struct{ left, at int }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), p.left)
	for i := range n {
		b[i] = byte((p.at + i) * 131 >> 3)
	}
	p.left, p.at = p.left-n, p.at+n
	return n, nil
}

func TestLargeStrings(t *testing.T) {
	n := size(8<<20, 512<<20)
	p := startProxy(t, func(c *Config) { c.Timeout = time.Minute })
	c := dial(t, p.addr)
	if err := c.conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c.conn, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", n)
	if _, err := io.Copy(c.conn, &pattern{left: n}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c.conn, "\r\n")
	want(t, c.reply(), replyOK)
	want(t, c.cmd("STRLEN big"), fmt.Sprintf(":%d\r\n", n))

	before := inUse()
	c.send(appendRequest(nil, "GET", "big"))
	if err := c.conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	head, err := c.r.ReadString('\n')
	if err != nil || head != fmt.Sprintf("$%d\r\n", n) {
		t.Fatalf("%q: %v", head, err)
	}
	sum, expected := crc32.NewIEEE(), crc32.NewIEEE()
	if _, err := io.CopyN(sum, c.r, int64(n/2)); err != nil {
		t.Fatal(err)
	}
	half := inUse()
	if _, err := io.CopyN(sum, c.r, int64(n-n/2)); err != nil {
		t.Fatal(err)
	}
	_, _ = c.r.Discard(2)
	if _, err := io.Copy(expected, &pattern{left: n}); err != nil {
		t.Fatal(err)
	}
	if sum.Sum32() != expected.Sum32() {
		t.Error("the string came back changed")
	}
	t.Logf("%d bytes: %d KiB more in use while half of the reply was sent", n, (int64(half)-int64(before))>>10)
	if int64(half)-int64(before) > int64(n/2) {
		t.Errorf("a reply of %d bytes takes %d", n, half-before)
	}
	if n == 512<<20 {
		return
	}
	fmt.Fprintf(c.conn, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", 512<<20+1)
	if got := c.reply(); !strings.HasPrefix(got, "-ERR Protocol error: invalid bulk length") {
		t.Errorf("one byte too many: %q", got)
	}
}

func TestLongPipelines(t *testing.T) {
	n := size(10_000, 100_000)
	p := startProxy(t)
	c := dial(t, p.addr)
	go func() {
		w := bufio.NewWriterSize(c.conn, 64<<10)
		var request []byte
		for i := range n {
			key := strconv.Itoa(i % 1000)
			switch i % 4 {
			case 0, 1:
				request = appendRequest(request[:0], "SET", key, strconv.Itoa(i))
			case 2:
				request = appendRequest(request[:0], "GET", strconv.Itoa((i-1)%1000))
			default:
				request = appendRequest(request[:0], "ECHO", key)
			}
			if _, err := w.Write(request); err != nil {
				return // the reader tells
			}
		}
		_ = w.Flush()
	}()
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := range n {
		expected := replyOK
		switch i % 4 {
		case 2:
			expected = string(appendBulk(nil, strconv.Itoa(i-1)))
		case 3:
			expected = string(appendBulk(nil, strconv.Itoa(i%1000)))
		}
		if got := c.reply(); got != expected {
			t.Fatalf("reply %d: %q, want %q", i, got, expected)
		}
	}
	t.Logf("%d commands in %v", n, time.Since(start))
}

func TestKeysOfEveryByte(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	var all []byte
	names := []string{"", "a\r\n$1\r\nb", strings.Repeat("k", 100_000)}
	for b := range 256 {
		all = append(all, byte(b))
		names = append(names, string([]byte{byte(b)}), "x"+string([]byte{byte(b)})+"y")
	}
	names = append(names, string(all))
	for i, k := range names {
		want(t, c.do("SET", k, k+"="+strconv.Itoa(i)), replyOK)
		c.do("PEXPIRE", k, "10000000")
	}
	for i, k := range names {
		want(t, c.do("GET", k), string(appendBulk(nil, k+"="+strconv.Itoa(i))))
		if ttl, ok := replyInt([]byte(c.do("PTTL", k))); !ok || ttl < 9_000_000 {
			t.Errorf("PTTL %q: %d", k, ttl)
		}
	}
	found, cursor := make(map[string]bool), "0"
	for {
		reply := []byte(c.do("SCAN", cursor, "COUNT", "100"))
		at := len("*2\r\n")
		n, err := replyLen(reply[at:])
		if err != nil {
			t.Fatal(err)
		}
		next, _ := replyBulk(reply[at : at+n])
		keys, ok := replyBulks(reply[at+n:])
		if !ok {
			t.Fatalf("SCAN: %q", reply)
		}
		for _, k := range keys {
			found[string(k)] = true
		}
		if cursor = string(next); cursor == "0" {
			break
		}
	}
	if len(found) != len(names) {
		t.Errorf("SCAN has found %d keys of %d", len(found), len(names))
	}
	want(t, c.do(append([]string{"DEL"}, names...)...), fmt.Sprintf(":%d\r\n", len(names)))
	want(t, c.cmd("DBSIZE"), ":0\r\n")
}

func TestManyIdleClients(t *testing.T) {
	n := size(300, 9_900)
	p := startProxy(t)
	before := inUse()
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	for range n {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	ping := func() {
		t.Helper()
		buf := make([]byte, 5)
		for i, conn := range conns {
			if _, err := conn.Write(appendRequest(nil, "GET", "k")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, buf); err != nil || !bytes.Equal(buf, []byte("$-1\r\n")) {
				t.Fatalf("client %d: %q %v", i, buf, err)
			}
		}
	}
	ping()
	t.Logf("%d idle clients use %d bytes each, those of the test itself included", n, (int64(inUse())-int64(before))/int64(n))
	if each := (int64(inUse()) - int64(before)) / int64(n); each > 64<<10 {
		t.Errorf("an idle client takes %d bytes", each)
	}
	ping()
}

func TestManyElements(t *testing.T) {
	n := size(50_000, 1_000_000)
	p := startProxy(t, func(c *Config) { c.Timeout = time.Minute })
	c := dial(t, p.addr)
	element := strings.Repeat("e", 64)
	for i := 0; i < n; i += 1000 {
		push := []string{"RPUSH", "l"}
		for range min(1000, n-i) {
			push = append(push, element)
		}
		c.do(push...)
	}
	before := inUse()
	c.send(appendRequest(nil, "LRANGE", "l", "0", "-1"))
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	head, err := c.r.ReadString('\n')
	if err != nil || head != fmt.Sprintf("*%d\r\n", n) {
		t.Fatalf("%q: %v", head, err)
	}
	one := string(appendBulk(nil, element))
	buf := make([]byte, len(one))
	var most uint64
	for i := range n {
		if _, err := io.ReadFull(c.r, buf); err != nil || string(buf) != one {
			t.Fatalf("element %d: %q %v", i, buf, err)
		}
		if i%(n/4) == n/8 {
			most = max(most, inUse())
		}
	}
	total := n * len(one)
	t.Logf("%d elements, %d bytes: up to %d KiB more in use", n, total, (int64(most)-int64(before))>>10)
	if int64(most)-int64(before) > int64(max(total/2, 4<<20)) {
		t.Errorf("a reply of %d bytes takes %d", total, most-before)
	}
}
