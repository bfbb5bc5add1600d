package redis

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"
)

// BenchmarkSnapshot takes and restores snapshots of a million keys, and reports the longest time that an applier that
// applies without pause is held up by that: in Snapshot, and by an entry while the stream is read.
func BenchmarkSnapshot(b *testing.B) {
	from, to := startServer(b), startServer(b)
	backend, target := openBackend(b, testConfig(from.addr)), newBackend(b, testConfig(to.addr))
	for i := range 10 {
		from.do(0, "EVAL", "for i=0,99999 do redis.call('SET','key:'..ARGV[1]..i,string.rep('x',32)) end", "0", string(rune('a'+i)))
	}
	index := uint64(0)
	apply := func() time.Duration {
		index++
		start := time.Now()
		mustApply(b, backend, entry(index, op("SET", "a", "1"), op("INCR", "n")))
		return time.Since(start)
	}
	var quiet, call, stall, taking, restoring time.Duration
	for range b.N {
		for range 1000 {
			quiet = max(quiet, apply())
		}
		at := index
		start := time.Now()
		r, err := backend.Snapshot(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		call = max(call, time.Since(start))
		done := make(chan []byte)
		go func() {
			data, err := io.ReadAll(r)
			if err != nil {
				b.Error(err)
			}
			done <- data
		}()
		var data []byte
		for data == nil {
			stall = max(stall, apply())
			select {
			case data = <-done:
			default:
			}
		}
		taking += time.Since(start)
		r.Close()
		waitChild(b, backend)
		start = time.Now()
		snap := snapshotOf(nil, at)
		snap.Data, snap.Size = bytes.NewReader(data), int64(len(data))
		if err := target.Restore(context.Background(), otherID, snap); err != nil {
			b.Fatal(err)
		}
		restoring += time.Since(start)
	}
	b.ReportMetric(float64(quiet.Milliseconds()), "ms-longest-apply-before")
	b.ReportMetric(float64(call.Milliseconds()), "ms-longest-call")
	b.ReportMetric(float64(stall.Milliseconds()), "ms-longest-apply")
	b.ReportMetric(float64(taking.Milliseconds())/float64(b.N), "ms/snapshot")
	b.ReportMetric(float64(restoring.Milliseconds())/float64(b.N), "ms/restore")
}
