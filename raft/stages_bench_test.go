package raft

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	tlsinfo "go.etcd.io/etcd/client/pkg/v3/transport"
	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal"
	"go.uber.org/zap"
)

// benchGroups are n commands of a SET of 32 bytes each, from a session each.
func benchGroups(n int) []group {
	groups := make([]group, n)
	for i := range groups {
		groups[i] = group{origin: 1, id: uint64(i), cmds: []Command{{Data: bytes.Repeat([]byte{'x'}, 75)}}}
	}
	return groups
}

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

func BenchmarkEncodeEntry(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) {
		groups, buf := benchGroups(n), []byte(nil)
		for b.Loop() {
			buf = appendEntry(buf[:0], 1_800_000_000_000, groups)
		}
	})
}

func BenchmarkDecodeEntry(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) {
		data := appendEntry(nil, 1_800_000_000_000, benchGroups(n))
		for b.Loop() {
			if _, _, _, err := decodeEntry(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSaveLog is a Ready's way to disk: "written" without the fsync that "durable" waits for.
func BenchmarkSaveLog(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(map[bool]string{false: "written", true: "durable"}[durable], func(b *testing.B) {
			eachSize(b, func(b *testing.B, n int) { benchmarkSave(b, n, durable) })
		})
	}
}

func benchmarkSave(b *testing.B, n int, durable bool) {
	l, err := openLog(b.TempDir(), identity{Cluster: 1, ID: 2}, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	defer l.close()
	if !durable {
		l.wal.(*wal.WAL).SetUnsafeNoFsync()
	}
	data := appendEntry(nil, 1_800_000_000_000, benchGroups(n))
	var index uint64
	for b.Loop() {
		index++
		entry := raftpb.Entry{Term: 1, Index: index, Data: data}
		if err := l.save(raftpb.HardState{Term: 1, Commit: index - 1}, []raftpb.Entry{entry}); err != nil {
			b.Fatal(err)
		}
		if index%1000 == 0 { // as snapshots do, or memory would grow with b.N
			if err := l.memory.Compact(index - 1); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func appendMessage(from, to, index uint64, data []byte) raftpb.Message {
	return raftpb.Message{Type: raftpb.MsgApp, From: from, To: to, Term: 1, LogTerm: 1, Index: index, Commit: index,
		Entries: []raftpb.Entry{{Term: 1, Index: index + 1, Data: data}}}
}

func BenchmarkEncodeMessage(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) {
		m := appendMessage(1, 2, 7, appendEntry(nil, 1_800_000_000_000, benchGroups(n)))
		buf := make([]byte, m.Size())
		for b.Loop() {
			if _, err := m.MarshalTo(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// received is what rafthttp calls with messages.
type received chan raftpb.Message

func (r received) Process(ctx context.Context, m raftpb.Message) error {
	select {
	case r <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (received) IsIDRemoved(uint64) bool                        { return false }
func (received) ReportUnreachable(uint64)                       {}
func (received) ReportSnapshot(uint64, etcdraft.SnapshotStatus) {}

// benchTransport returns a transport that listens, and what arrives there.
func benchTransport(b *testing.B, id uint64) (*listening, received) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	files, err := openSnapshots(b.TempDir(), zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	in := make(received, 1024)
	url := "http://" + ln.Addr().String()
	t, err := newTransport(identity{Cluster: 1, ID: id, URL: url}, tlsinfo.TLSInfo{}, files.files, in, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: t.handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	b.Cleanup(func() {
		t.stop()
		srv.Close()
		<-done
	})
	return &listening{t, url}, in
}

type listening struct {
	*transport
	url string
}

// BenchmarkTransport is the way of an entry to another member over loopback and of its acknowledgement back.
func BenchmarkTransport(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) {
		leader, acks := benchTransport(b, 1)
		follower, entries := benchTransport(b, 2)
		leader.addPeer(2, follower.url)
		follower.addPeer(1, leader.url)
		data := appendEntry(nil, 1_800_000_000_000, benchGroups(n))
		round := func(index uint64) bool {
			leader.send([]raftpb.Message{appendMessage(1, 2, index, data)})
			for {
				select {
				case m := <-entries:
					follower.send([]raftpb.Message{{Type: raftpb.MsgAppResp, From: 2, To: 1, Term: 1, Index: m.Entries[0].Index}})
				case <-acks:
					return true
				case <-time.After(time.Second):
					return false
				}
			}
		}
		for try := 0; !round(1); try++ { // until both streams are there: what is sent before is lost
			if try > 30 {
				b.Fatal("the members do not reach each other")
			}
		}
		var index uint64 = 1
		for b.Loop() {
			index++
			if !round(index) {
				b.Fatal("a message was lost")
			}
		}
	})
}
