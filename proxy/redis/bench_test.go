package redis

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
	"github.com/nexus-replication/nexus/raft"
)

// instantLog is a Replicator and Backend that answers at once: what remains is the cost of the proxy.
type instantLog struct {
	noIndex
	reply []byte
}

type noIndex struct{}

func (noIndex) NextDue() (int64, bool)             { return 0, false }
func (noIndex) Due(int64, int) []backend.DueKey    { return nil }
func (noIndex) Deadline(int, []byte) (int64, bool) { return 0, false }
func (noIndex) Pend(int, string, int64)            {}

func (l *instantLog) Propose(_ context.Context, cmds [][]byte) (raft.Outcome, error) {
	out := raft.Outcome{Replies: make([]raft.Reply, len(cmds))}
	for i := range out.Replies {
		out.Replies[i].Data = l.reply
	}
	return out, nil
}

func (l *instantLog) ProposeArrived(ctx context.Context, _ time.Time, cmds [][]byte) (raft.Outcome, error) {
	return l.Propose(ctx, cmds)
}

func (l *instantLog) Wait(ctx context.Context, _ time.Time, cmd []byte, _, _ func()) (raft.Outcome, error) {
	return l.Propose(ctx, [][]byte{cmd})
}

func (l *instantLog) Read(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }
func (l *instantLog) Snapshot(context.Context) error                                 { return nil }
func (l *instantLog) MembersWithout(int) []raft.Member                               { return nil }
func (l *instantLog) Status() raft.Status                                            { return raft.Status{ID: 1, Leader: 1} }

type instantBackend struct {
	noIndex
	replies []byte
}

func (*instantBackend) FollowUsers(fn func(*backend.Users)) { fn(&backend.Users{}) }

func (*instantBackend) Subscriber(context.Context, backend.Protocol) (*backend.Subscriber, error) {
	return nil, backend.ErrNoSubscriber
}

func (*instantBackend) Tracker(context.Context, func([]raft.Entry)) (*backend.Tracker, error) {
	return nil, backend.ErrNoSubscriber
}

func (b *instantBackend) ReadAs(_ context.Context, _ backend.Protocol, _ int, _ []byte, n int) ([]byte, int, error) {
	return b.replies[:n*5], n, nil
}

func (b *instantBackend) StreamAs(context.Context, backend.Protocol, int, []byte, io.Writer) error {
	return nil
}

func (b *instantBackend) MemoryLimit() int64 { return 0 }

func (b *instantBackend) EvictionPolicy() string { return "noeviction" }

func (b *instantBackend) Evicted() uint64 { return 0 }
func (b *instantBackend) Expired() uint64 { return 0 }

func (b *instantBackend) Sample(int) []backend.DueKey { return nil }

func (b *instantBackend) MarkerWrites() uint64 { return 0 }
func (b *instantBackend) Busy() bool           { return false }

func (b *instantBackend) NewWatcher() *backend.Watcher { return nil }

func startBench(b *testing.B) string {
	b.Helper()
	replies := make([]byte, 0, 5*1024)
	for range 1024 {
		replies = append(replies, replyOK...)
	}
	srv, err := New(NewConfig(), &instantLog{reply: []byte(replyOK)}, &instantBackend{replies: replies})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = srv.Serve(ln) }()
	b.Cleanup(func() { _ = srv.Close(context.Background()) })
	return ln.Addr().String()
}

// benchmark sends request, which has n commands with replies of size bytes each, over many connections.
func benchmark(b *testing.B, addr string, clients int, request []byte, n, size int) {
	b.Helper()
	b.ReportAllocs()
	var wg sync.WaitGroup
	rounds := max(b.N/n/clients, 1)
	for range clients {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := bufio.NewReader(conn)
			reply := make([]byte, n*size)
			for range rounds {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(r, reply); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	b.ResetTimer()
	wg.Wait()
}

func pipeline(n int, args ...string) []byte {
	var request []byte
	for range n {
		request = appendRequest(request, args...)
	}
	return request
}

// BenchmarkProxy measures the proxy alone: log and backend answer at once.
func BenchmarkProxy(b *testing.B) {
	for _, bm := range []struct {
		name string
		n    int
		args []string
	}{
		{"GET/P1", 1, []string{"GET", "key:000000000001"}},
		{"GET/P16", 16, []string{"GET", "key:000000000001"}},
		{"SET/P1", 1, []string{"SET", "key:000000000001", "xxx"}},
		{"SET/P16", 16, []string{"SET", "key:000000000001", "xxx"}},
		{"SETEX/P16", 16, []string{"SET", "key:000000000001", "xxx", "EX", "100"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			benchmark(b, startBench(b), 50, pipeline(bm.n, bm.args...), bm.n, 5)
		})
	}
}

// BenchmarkGET compares a GET through the proxy, with an instant log and a real backend, with the backend alone.
func BenchmarkGET(b *testing.B) {
	p := startProxy(b)
	c := dial(b, p.addr)
	c.cmd("SET key:000000000001 xxx")
	for _, n := range []int{1, 16} {
		request := pipeline(n, "GET", "key:000000000001")
		name := map[int]string{1: "P1", 16: "P16"}[n]
		b.Run("proxy/"+name, func(b *testing.B) { benchmark(b, p.addr, 50, request, n, 9) })
		b.Run("backend/"+name, func(b *testing.B) { benchmark(b, p.redis, 50, request, n, 9) })
	}
}

// BenchmarkSession measures a session without a network.
func BenchmarkSession(b *testing.B) {
	srv, err := New(NewConfig(), &instantLog{reply: []byte(replyOK)}, &instantBackend{replies: []byte(replyOK)})
	if err != nil {
		b.Fatal(err)
	}
	users, err := acl.Parse(srv.acl, []byte("user alice on nopass ~cache:* ~k* +@all -@dangerous"))
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range [][]string{
		{"GET", "key"}, {"SET", "key", "value"}, {"SET", "key", "value", "EX", "100"}, {"PING"},
	} {
		raw := appendRequest(nil, bm...)
		args, err := backend.ParseCommand(raw, nil)
		if err != nil {
			b.Fatal(err)
		}
		for who, limited := range map[string]bool{"": false, "Limited": true} {
			b.Run(bm[0]+map[bool]string{true: "EX"}[len(bm) > 3]+who, func(b *testing.B) {
				s := &session{srv: srv, conn: &guard.Conn{}, authenticated: true, user: users.User("alice"), limited: limited, seen: srv.users.Load()}
				s.reads.fn = s.readOnce
				b.ReportAllocs()
				for range b.N {
					s.run(redconCommand(raw, args))
					s.endPhase()
					s.out = s.out[:0]
				}
			})
		}
	}
}
