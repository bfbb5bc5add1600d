package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

// FuzzHTTP is what anybody could send to the port for monitoring. It is answered in HTTP if at all, and then closed.
func FuzzHTTP(f *testing.F) {
	for _, path := range []string{"/", "/metrics", "/livez", "/readyz?sync", "/readyz?a;b", "/status.json", "/nosuch", "/%zz", "//../metrics", "*"} {
		f.Add([]byte("GET " + path + " HTTP/1.1\r\nHost: node\r\n\r\n"))
	}
	for _, request := range []string{
		"GET /livez HTTP/1.0\r\n\r\n",
		"HEAD /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer x\r\n\r\n",
		"POST /readyz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999999999999999\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	lis, log := &queue{conns: make(chan net.Conn), done: make(chan struct{})}, &recorded{}
	s := NewHTTP(HTTPConfig{
		Node: newFakeNode(), Build: Build{"v1", "abc", "today"},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
		if err := <-served; err != nil {
			f.Errorf("Serve: %v", err)
		}
	})
	f.Fuzz(func(t *testing.T, request []byte) {
		c := &letter{in: bytes.NewReader(request), closed: make(chan struct{})}
		lis.conns <- c
		select {
		case <-c.closed:
		case <-time.After(time.Minute):
			t.Fatal("the connection is not closed")
		}
		if text := log.take(); strings.Contains(text, "http: panic serving") {
			t.Fatal(text)
		}
		if c.out.Len() == 0 {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(&c.out), nil)
		if err != nil {
			t.Fatalf("the answer is not HTTP: %v", err)
		}
		_ = resp.Body.Close()
	})
}

// queue is a listener to which connections are handed.
type queue struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error   { q.once.Do(func() { close(q.done) }); return nil }
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }

// letter is a connection of a client that says all it has to say and then only listens.
type letter struct {
	net.Conn
	in     *bytes.Reader
	out    bytes.Buffer
	once   sync.Once
	closed chan struct{}
}

func (l *letter) Read(p []byte) (int, error)       { return l.in.Read(p) }
func (l *letter) Write(p []byte) (int, error)      { return l.out.Write(p) }
func (l *letter) Close() error                     { l.once.Do(func() { close(l.closed) }); return nil }
func (l *letter) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (l *letter) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (l *letter) SetDeadline(time.Time) error      { return nil }
func (l *letter) SetReadDeadline(time.Time) error  { return nil }
func (l *letter) SetWriteDeadline(time.Time) error { return nil }

// recorded keeps what is logged.
type recorded struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recorded) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.text.Reset()
	return r.text.String()
}

// FuzzCalls is what anybody could send to the port for operators: each method gets the bytes as its request. Without the
// token no method is reached; with it, whatever comes back can be sent.
func FuzzCalls(f *testing.F) {
	for _, m := range []proto.Message{
		&nexuspb.SaveRequest{Data: []byte("SET k v"), Args: map[string]string{"db.index": "1"}},
		&nexuspb.ReplaceNodeRequest{Url: "http://127.0.0.1:9022", By: "http://127.0.0.1:9024/"},
		&nexuspb.RemoveNodeRequest{Url: "http://127.0.0.1:9021", Force: true},
		&nexuspb.AddNodeRequest{Url: "http://[::1%25x]:1"},
		&nexuspb.TransferLeaderRequest{Id: 0x663ca4baed7470b5},
		&nexuspb.TransferLeaderRequest{Url: "http://127.0.0.1:9023"},
		&healthpb.HealthCheckRequest{Service: nexuspb.Nexus_ServiceDesc.ServiceName},
	} {
		p, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p, "Bearer read-token", uint8(0))
		f.Add(p, "Bearer admin-token", uint8(1))
		f.Add(p, "bearer", uint8(2))
	}
	f.Add([]byte("caf\xe9"), "", uint8(2))
	g := newGate(Tokens{Admin: "admin-token", Read: "read-token"})
	failures := []error{nil, raft.ErrRemoved, errors.New("refused\n\xff"), fakeRefusal(true), &raft.NoAnswerError{}}
	f.Fuzz(func(t *testing.T, request []byte, authorization string, failure uint8) {
		checkGate(t, g, authorization)
		err := failures[int(failure)%len(failures)]
		node, cfg := newFakeNode(), NewConfig()
		node.err, node.backup = err, request
		node.status.Serving, node.status.Problem = err == nil, string(request)
		cfg.Node, cfg.Datastore, cfg.Logger = &troubled{node, string(request)}, &fakeStore{err}, slog.New(slog.DiscardHandler)
		callAll(t, &nexuspb.Nexus_ServiceDesc, &service{cfg: cfg}, request)
		health := &healthServer{node: node, interval: time.Second, closed: make(chan struct{})}
		callAll(t, &healthpb.Health_ServiceDesc, health, request)
	})
}

// troubled is a node of a cluster in which things are wrong, as backends describe them.
type troubled struct {
	*fakeNode
	problem string
}

func (n *troubled) Verify(ctx context.Context) (raft.VerifyReport, error) {
	report, err := n.fakeNode.Verify(ctx)
	report.Members[1].Problem = n.problem
	return report, err
}

func (n *troubled) Reports(ctx context.Context) []raft.Report {
	reports := n.fakeNode.Reports(ctx)
	reports[2].Problem = n.problem
	return reports
}

// checkGate asks for each method with what a caller shows.
func checkGate(t *testing.T, g *gate, authorization string) {
	t.Helper()
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", authorization))
	names := []string{nexuspb.Nexus_Backup_FullMethodName}
	for _, m := range nexuspb.Nexus_ServiceDesc.Methods {
		names = append(names, "/"+nexuspb.Nexus_ServiceDesc.ServiceName+"/"+m.MethodName)
	}
	for _, name := range names {
		err := g.check(ctx, name)
		may := authorization == "Bearer admin-token" || (authorization == "Bearer read-token" && readMethods[name])
		if (err == nil) != may {
			t.Errorf("%s with %q: %v", name, authorization, err)
		}
		if err != nil && (strings.Contains(err.Error(), "admin-token") || strings.Contains(err.Error(), "read-token")) {
			t.Errorf("%s gives a token away: %v", name, err)
		}
	}
}

// callAll hands a request to each method of a service.
func callAll(t *testing.T, desc *grpc.ServiceDesc, srv any, request []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // the caller is gone: nothing is waited for
	decode := func(m any) error { return proto.Unmarshal(request, m.(proto.Message)) }
	for _, method := range desc.Methods {
		resp, err := method.Handler(srv, ctx, decode, nil)
		if err == nil {
			checkSendable(t, method.MethodName, resp)
		}
		checkStatus(t, method.MethodName, err)
	}
	for _, stream := range desc.Streams {
		checkStatus(t, stream.StreamName, stream.Handler(srv, &fakeStream{t: t, ctx: ctx, name: stream.StreamName, decode: decode}))
	}
}

func checkSendable(t *testing.T, name string, m any) {
	t.Helper()
	if _, err := proto.Marshal(m.(proto.Message)); err != nil {
		t.Errorf("%s: the answer cannot be sent: %v", name, err)
	}
}

// checkStatus wants an error to be one that the other end can be told.
func checkStatus(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, proto.Error) {
		return
	}
	if st := status.Convert(err); st.Code() != codes.OK {
		checkSendable(t, name, st.Proto())
	}
}

// fakeStream is a stream of a caller who sends one request.
type fakeStream struct {
	grpc.ServerStream
	t      *testing.T
	ctx    context.Context
	name   string
	decode func(any) error
}

func (s *fakeStream) Context() context.Context { return s.ctx }
func (s *fakeStream) RecvMsg(m any) error      { return s.decode(m) }
func (s *fakeStream) SendMsg(m any) error {
	checkSendable(s.t, s.name, m)
	return nil
}
