package redis

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

var benchSizes = []int{1, 16, 256}

func eachSize(b *testing.B, f func(b *testing.B, commands int)) {
	b.Helper()
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("commands=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			f(b, n)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/command")
		})
	}
}

func benchEntry(n int) raft.Entry {
	e := entry(1)
	for i := range n {
		c := op("SET", fmt.Sprintf("key:%012d", i), strings.Repeat("x", 32))
		c.Wanted = true
		e.Commands = append(e.Commands, c)
	}
	return e
}

func BenchmarkEncodeOp(b *testing.B) {
	item := Item{Cmd: command("SET", "key:000000000001", strings.Repeat("x", 32))}
	b.ReportAllocs()
	for b.Loop() {
		_ = AppendOp(make([]byte, 0, len(item.Cmd)+16), item) // of its own: the log keeps it
	}
}

// BenchmarkBuildRun is entries becoming a transaction of the backend.
func BenchmarkBuildRun(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) {
		cfg := testConfig("")
		entries := []raft.Entry{benchEntry(n)}
		marker := []byte("1 1 1")
		var r run
		for b.Loop() {
			if err := r.build(&cfg, entries, 16, nodeSettings{}, &Users{}); err != nil {
				b.Fatal(err)
			}
			r.finish(cfg.MetadataDB, marker)
		}
	})
}

// BenchmarkReadReplies is what the backend answers to that becoming the replies of those who wait.
func BenchmarkReadReplies(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) {
		cfg := testConfig("")
		entries := []raft.Entry{benchEntry(n)}
		var r run
		const held = "1 1 0"
		if err := r.build(&cfg, entries, 16, nodeSettings{}, &Users{}); err != nil {
			b.Fatal(err)
		}
		r.finish(cfg.MetadataDB, []byte("1 1 1"))
		replies := []byte("+OK\r\n" + strings.Repeat("+QUEUED\r\n", len(r.slots)) + fmt.Sprintf("*%d\r\n", len(r.slots)))
		replies = append(replies, strings.Repeat("+OK\r\n", len(r.slots)-1)...)
		replies = fmt.Appendf(replies, "$%d\r\n%s\r\n+OK\r\n", len(held), held)
		source := bytes.NewReader(replies)
		in := newReplyReader(source, 64<<10)
		for b.Loop() {
			source.Reset(replies)
			for i := range r.wants { // as they are before a transaction
				r.wants[i].start, r.wants[i].end = 0, 0
			}
			if err := r.read(in, held, math.MaxInt); err != nil {
				b.Fatal(err)
			}
			r.answer()
		}
	})
}
