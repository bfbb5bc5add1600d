package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// tinyRDB is an RDB without keys.
func tinyRDB() []byte {
	data := append([]byte("REDIS0010"), rdbEndCode)
	data = append(data, make([]byte, 8)...)
	resum(data)
	return data
}

// streamFrom is a stream from a server that writes these bytes, some at a time, and closes if it is told so.
func streamFrom(t *testing.T, sent []byte, step int, closes bool) *rdbStream {
	t.Helper()
	near, far := net.Pipe()
	b := newBackend(t, testConfig("127.0.0.1:1"))
	c := &conn{Conn: near, timeout: 2 * time.Second}
	c.r = newReplyReader(c, readBufferSize)
	s := newRDBStream(context.Background(), b, c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(sent) > 0 {
			n, err := far.Write(sent[:min(step, len(sent))])
			if err != nil {
				return
			}
			sent = sent[n:]
		}
		if closes {
			_ = far.Close()
		}
	}()
	t.Cleanup(func() {
		_ = s.Close()
		_ = far.Close()
		<-done
	})
	return s
}

func TestStreamForms(t *testing.T) {
	mark := strings.Repeat("0123456789", 4)
	data := tinyRDB()
	long := append([]byte("REDIS0010"), bytes.Repeat([]byte(mark+"x"), 5000)...)
	long = append(long, append([]byte{rdbEndCode}, make([]byte, 8)...)...)
	resum(long)
	for _, data := range [][]byte{data, long} {
		eof := "\n\n$EOF:" + strings.Repeat("9876543210", 4) + "\r\n" + string(data) + strings.Repeat("9876543210", 4)
		for _, sent := range []string{eof, fmt.Sprintf("\n$%d\r\n%s", len(data), data)} {
			for _, step := range []int{1, 3, 7, 39, 40, 41, 64, 1000, 1 << 20} {
				if step < 39 && len(data) > 1000 {
					continue
				}
				for _, closes := range []bool{true, false} {
					got, err := io.ReadAll(streamFrom(t, []byte(sent), step, closes))
					if err != nil || !bytes.Equal(got, data) {
						t.Fatalf("%.20q, %d at a time: %d of %d bytes, %v", sent, step, len(got), len(data), err)
					}
				}
			}
			got, err := io.ReadAll(iotest.OneByteReader(streamFrom(t, []byte(sent), 50, true)))
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("byte by byte: %d bytes, %v", len(got), err)
			}
			// Wherever it breaks off, that is an error.
			for cut := 0; cut < len(sent); cut += 1 + len(sent)/60 {
				if _, err := io.ReadAll(streamFrom(t, []byte(sent[:cut]), 1<<20, true)); err == nil {
					t.Fatalf("%.20q cut at %d: no error", sent, cut)
				}
			}
		}
	}
}

func TestStreamOfDamage(t *testing.T) {
	data := tinyRDB()
	data[len(data)-1] ^= 1
	if _, err := io.ReadAll(streamFrom(t, fmt.Appendf(nil, "$%d\r\n%s", len(data), data), 100, false)); !errors.Is(err, errRDB) {
		t.Error(err)
	}
	for _, bad := range []string{"-ERR no\r\n", "+OK\r\n", "$x\r\n", "$-1\r\n", "$EOF:short\r\n", "$0\r\n", "$5\r\nREDIS", "\x00\r\n"} {
		if got, err := io.ReadAll(streamFrom(t, []byte(bad), 100, true)); err == nil {
			t.Errorf("%q: %q without error", bad, got)
		}
	}
	// Silence is an error, empty lines are not.
	s := streamFrom(t, nil, 1, false)
	s.c.timeout = 20 * time.Millisecond
	if _, err := io.ReadAll(s); err == nil {
		t.Error("no error from a silent server")
	}
}
