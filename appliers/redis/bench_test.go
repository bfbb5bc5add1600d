package redis

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

const benchClients = 50

// eachClient runs f b.N times in all, from benchClients goroutines.
func eachClient(b *testing.B, f func(client, i int) error) {
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for client := range benchClients {
		wg.Go(func() {
			for i := client; i < b.N; i += benchClients {
				if err := f(client, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}

func benchKeys(s *server) [][]byte {
	s.do(0, "EVAL", "for i=0,999 do redis.call('SET','key:'..i,string.rep('x',32)) end", "0")
	requests := make([][]byte, 1000)
	for i := range requests {
		requests[i] = command("GET", fmt.Sprint("key:", i))
	}
	return requests
}

func BenchmarkRead(b *testing.B) {
	s := startServer(b)
	backend := openBackend(b, testConfig(s.addr))
	requests := benchKeys(s)
	for _, name := range []string{"background", "cancellable"} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			if name == "cancellable" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
			}
			eachClient(b, func(_, i int) error {
				_, _, err := backend.Read(ctx, 0, requests[i%len(requests)], 1)
				return err
			})
		})
	}
}

// BenchmarkReadDirect is what BenchmarkRead is compared with: a connection for each client.
func BenchmarkReadDirect(b *testing.B) {
	s := startServer(b)
	requests := benchKeys(s)
	conns := make([]*conn, benchClients)
	for i := range conns {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { nc.Close() })
		conns[i] = &conn{Conn: nc}
		conns[i].r = newReplyReader(conns[i], 4096)
	}
	eachClient(b, func(client, i int) error {
		c := conns[client]
		if _, err := c.Write(requests[i%len(requests)]); err != nil {
			return err
		}
		_, _, err := c.r.keep(nil, 1<<20)
		return err
	})
}

func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 50} {
		for _, wanted := range []bool{true, false} {
			b.Run(fmt.Sprintf("commands=%d/wanted=%v", size, wanted), func(b *testing.B) {
				s := startServer(b)
				backend := openBackend(b, testConfig(s.addr))
				e := entry(0)
				for i := range size {
					c := op("SET", fmt.Sprint("key:", i), "12345678901234567890123456789012")
					c.Wanted = wanted
					e.Commands = append(e.Commands, c)
				}
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					e.Index++
					mustApply(b, backend, e)
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "commands/s")
			})
		}
	}
}

func BenchmarkDeadlines(b *testing.B) {
	d := newDeadlines()
	const keys = 1_000_000
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprint("key:", i)
		d.put(0, names[i], int64(i*7919%keys))
	}
	b.ReportAllocs()
	b.Run("put", func(b *testing.B) {
		for i := range b.N {
			d.put(0, names[i*31%keys], int64(i*104729%keys)+time.Hour.Milliseconds())
		}
	})
	b.Run("get", func(b *testing.B) {
		key := []byte("key:4711")
		for range b.N {
			d.Deadline(0, key)
		}
	})
}
