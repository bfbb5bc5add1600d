package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestReadMany(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	for db := range 3 {
		for i := range 50 {
			s.do(db, "SET", fmt.Sprint("k", i), fmt.Sprint(db, "-", i))
		}
	}
	var wg sync.WaitGroup
	for g := range 30 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for range 300 {
				db, n := rnd.IntN(3), 1+rnd.IntN(5)
				var request, want []byte
				for range n {
					i := rnd.IntN(50)
					request = appendStrings(request, "GET", fmt.Sprint("k", i))
					v := fmt.Sprint(db, "-", i)
					want = fmt.Appendf(want, "$%d\r\n%s\r\n", len(v), v)
				}
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if rnd.IntN(10) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(200))*time.Microsecond)
				}
				got, done, err := b.Read(ctx, db, request, n)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					continue
				}
				if err != nil || done != n || !bytes.Equal(got, want) {
					t.Errorf("got %q, %d, %v, want %q", got, done, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A read waits for a script that runs for longer than the server lets others wait.
func TestReadWaitsForScript(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	s.do(0, "CONFIG", "SET", "busy-reply-threshold", "1")
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.do(0, "EVAL", "for i = 1, 1e8 do end redis.call('SET', 'k', 'v')", "0")
	}()
	for {
		got, done, err := b.Read(ctx, 0, appendStrings(nil, "GET", "k"), 1)
		if err != nil || done != 1 {
			t.Fatalf("got %q, %d, %v", got, done, err)
		}
		if string(got) == "$1\r\nv\r\n" {
			break
		}
	}
	<-ended
}

func TestReadBudget(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.ReadBudget = 1000
	b := openBackend(t, cfg)
	s.do(0, "SET", "small", strings.Repeat("x", 400))
	s.do(0, "SET", "large", strings.Repeat("x", 3<<20))
	s.do(0, "EVAL", "for i=1,1000 do redis.call('RPUSH','list',i) end", "0")
	small, large, list := command("GET", "small"), command("GET", "large"), command("LRANGE", "list", "0", "-1")
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for i, test := range []struct {
		request []byte
		n, done int
	}{
		{small, 1, 1}, {join(small, small, small), 3, 2}, {large, 1, 0}, {join(small, large, small), 3, 1}, {join(list, small), 2, 0},
		{join(small, list), 2, 1}, {join(small, small), 2, 2},
	} {
		got, done, err := b.Read(context.Background(), 0, test.request, test.n)
		if err != nil || done != test.done || len(got) != done*(400+8) {
			t.Errorf("%d: %d bytes, %d done, %v", i, len(got), done, err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.ReplyTimeout = 2 * time.Second
	b := openBackend(t, cfg)
	ctx := context.Background()
	if got, err := b.Query(ctx, 0, "LPUSH"); err != nil || !strings.HasPrefix(string(got), "-ERR wrong number") {
		t.Errorf("%q %v", got, err)
	}
	if got, err := b.Query(ctx, 0, "EVAL", "return redis.error_reply('LOADING x')", "0"); err == nil {
		t.Errorf("%q", got)
	}
	if _, err := b.Query(ctx, 99, "GET", "k"); err == nil {
		t.Error("database 99")
	}
	if got, err := b.Query(ctx, 0, "PING"); err != nil || string(got) != "+PONG\r\n" {
		t.Errorf("%q %v", got, err)
	}
	// A server that hangs: all waiting calls fail in time, and it works again afterwards.
	s.signal(syscall.SIGSTOP)
	start := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := b.Query(ctx, 0, "PING"); err == nil {
				t.Error("answered")
			}
		})
	}
	wg.Wait()
	if d := time.Since(start); d > 5*cfg.ReplyTimeout { // all together, not one behind the other
		t.Errorf("took %s", d)
	}
	s.signal(syscall.SIGCONT)
	queryUntil(t, b, func(got []byte, err error) bool { return err == nil && string(got) == "+PONG\r\n" })
	s.restart() // empty, but nothing was applied: the marker is missing all the same
	queryUntil(t, b, func(got []byte, err error) bool {
		if err == nil {
			t.Errorf("answered %q", got)
		}
		return errors.Is(err, ErrBehind)
	})
	_ = b.Close()
	if _, err := b.Query(ctx, 0, "PING"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := b.Stream(ctx, 0, command("PING"), io.Discard); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// queryUntil asks until there is that answer. What is asked over a connection that breaks meanwhile fails.
func queryUntil(t *testing.T, b *Backend, ok func(got []byte, err error) bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(time.Millisecond) {
		got, err := b.Query(context.Background(), 0, "PING")
		if ok(got, err) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q %v", got, err)
		}
	}
}

// slowWriter takes its time and fails after limit bytes.
type slowWriter struct {
	bytes.Buffer
	delay time.Duration
	limit int
}

var errFull = errors.New("full")

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(w.delay)
	if w.limit > 0 && w.Len()+len(p) > w.limit {
		return 0, errFull
	}
	return w.Buffer.Write(p)
}

func TestStream(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.StreamConns = 2
	b := openBackend(t, cfg)
	ctx := context.Background()
	value := strings.Repeat("0123456789", 500_000)
	s.do(4, "SET", "large", value)
	s.do(0, "EVAL", "for i=1,20000 do redis.call('RPUSH','list',i) end", "0")
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			var w slowWriter
			if i%2 == 0 {
				w.delay = 100 * time.Microsecond
			}
			if err := b.Stream(ctx, 4, command("GET", "large"), &w); err != nil || w.String() != fmt.Sprintf("$%d\r\n%s\r\n", len(value), value) {
				t.Errorf("%d bytes, %v", w.Len(), err)
			}
			w.Reset()
			if err := b.Stream(ctx, 0, command("LRANGE", "list", "0", "-1"), &w); err != nil || w.String() != s.do(0, "LRANGE", "list", "0", "-1") {
				t.Errorf("%d bytes, %v", w.Len(), err)
			}
		})
	}
	wg.Wait()
	w := &slowWriter{limit: 200_000}
	if err := b.Stream(ctx, 4, command("GET", "large"), w); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	var out bytes.Buffer
	if err := b.Stream(ctx, 0, command("GET"), &out); err != nil || !strings.HasPrefix(out.String(), "-ERR wrong") {
		t.Errorf("%q %v", out.String(), err)
	}
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	s.restart()
	if err := b.Stream(ctx, 0, command("GET", "k"), &out); !errors.Is(err, ErrBehind) {
		t.Errorf("after a restart: %v", err)
	}
}
