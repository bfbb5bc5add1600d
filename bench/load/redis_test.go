package load

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve answers each command with reply until the test ends.
func serve(t *testing.T, reply string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the load generator needs Linux")
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				answer(conn, reply)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// answer counts the lines that begin a command; values hold no asterisks.
func answer(conn net.Conn, reply string) {
	r := bufio.NewReaderSize(conn, 1<<20)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "*") {
			if _, err := io.WriteString(conn, reply); err != nil {
				return
			}
		}
	}
}

func TestRedis(t *testing.T) {
	addr := serve(t, "$5\r\nhello\r\n")
	for _, s := range []Spec{
		{Clients: 1, Pipeline: 1, Size: 32, Keys: 10},
		{Clients: 20, Pipeline: 16, Size: 32, Keys: 10, Reads: 0.5},
		{Clients: 3, Pipeline: 4, Size: 512 << 10, Keys: 10}, // more than a socket takes at once
	} {
		r, err := Redis(context.Background(), addr, s, 50*time.Millisecond)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if r.Ops == 0 || r.Ops%uint64(s.Pipeline) != 0 || r.Ops != r.Latency.Count() || r.Errors != 0 || r.Elapsed < 50*time.Millisecond {
			t.Errorf("%+v: %d answered, %d counted, %d errors in %v", s, r.Ops, r.Latency.Count(), r.Errors, r.Elapsed)
		}
	}
}

func TestRedisErrors(t *testing.T) {
	addr := serve(t, "-TRYAGAIN no leader\r\n")
	s := Spec{Clients: 2, Pipeline: 2, Size: 1, Keys: 1}
	r, err := Redis(context.Background(), addr, s, time.Millisecond)
	if err != nil || r.Errors != r.Ops || r.Errors == 0 || r.First != "TRYAGAIN no leader" {
		t.Errorf("%+v, %v", r, err)
	}
	if err := FillRedis(context.Background(), addr, 10, 1); err == nil || !strings.Contains(err.Error(), "TRYAGAIN") {
		t.Errorf("FillRedis = %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Redis(ended, addr, s, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("Redis with an ended context = %v", err)
	}
	if _, err := Redis(context.Background(), serve(t, "*1\r\n"), s, time.Second); err == nil {
		t.Error("a reply that no GET has passed")
	}
}

func TestFillRedis(t *testing.T) {
	if err := FillRedis(context.Background(), serve(t, "+OK\r\n"), 1000, 32); err != nil {
		t.Error(err)
	}
}
