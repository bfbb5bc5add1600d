package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

func startServer(t *testing.T, node Node, store Datastore) (*Server, *grpc.ClientConn) {
	t.Helper()
	cfg := NewConfig()
	cfg.Node, cfg.Datastore, cfg.Kind, cfg.Version = node, store, "Redis", "v1"
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.health.interval = 5 * time.Millisecond
	lis := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///node", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = s.Close(testContext(t))
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, conn
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func lines(members []*nexuspb.Member) string {
	var all []string
	for _, m := range members {
		line := fmt.Sprintf("%x %s", m.GetId(), m.GetUrl()[len("http://127.0.0.1:"):])
		if m.GetLeader() {
			line += " leader"
		}
		if m.GetLearner() {
			line += " learner"
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

// A statement for the other kind of server is told where it got to, before anybody tries to read it.
func TestServerOfAnotherKind(t *testing.T) {
	_, conn := startServer(t, newFakeNode(), &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	_, save := c.Save(AskedOf(ctx, "MySQL"), &nexuspb.SaveRequest{Data: []byte("x")})
	_, load := c.Load(AskedOf(ctx, "MySQL"), &nexuspb.LoadRequest{Data: []byte("x")})
	for _, err := range []error{save, load} {
		if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.HasPrefix(st.Message(), "this is a node of Redis, not of MySQL: use repl HOST:PORT redis") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := c.Save(AskedOf(ctx, "Redis"), &nexuspb.SaveRequest{Data: []byte("x")}); err != nil {
		t.Error(err)
	}
}

// Who gives no more time than this hears what was waited for, not that the call was cancelled.
func TestServerAnswersBeforeTheCallerGivesUp(t *testing.T) {
	s := &service{cfg: Config{Node: newFakeNode(), MemberTimeout: time.Hour, Logger: slog.New(slog.DiscardHandler)}}
	patient, leave := context.WithTimeout(context.Background(), time.Minute)
	defer leave()
	ends, _ := patient.Deadline()
	its, stop := s.memberContext(patient)
	defer stop()
	if waits, _ := its.Deadline(); ends.Sub(waits) < answerTime/2 {
		t.Errorf("%v are left for the answer to a caller who has a minute", ends.Sub(waits))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := s.AddNode(ctx, &nexuspb.AddNodeRequest{Url: silentURL})
	if text := status.Convert(err).Message(); !strings.Contains(text, "it did not answer so far") {
		t.Errorf("got %v", err)
	}
}

func TestServerMembers(t *testing.T) {
	node := newFakeNode()
	_, conn := startServer(t, node, &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	list, err := c.ListNodes(ctx, &nexuspb.ListNodesRequest{})
	want := "663ca4baed7470b5 9022 learner\na10202ab0eac4801 9021 leader\nf3fd5b0446cc7033 9023"
	if err != nil || lines(list.GetMembers()) != want {
		t.Fatalf("list: %v\n%s", err, lines(list.GetMembers()))
	}
	list, err = c.AddNode(ctx, &nexuspb.AddNodeRequest{Url: "http://127.0.0.1:9024/"})
	if err != nil || lines(list.GetMembers()) != "4c8e64e91e16db7c 9024\n"+want {
		t.Fatalf("add: %v\n%s", err, lines(list.GetMembers()))
	}
	list, err = c.RemoveNode(ctx, &nexuspb.RemoveNodeRequest{Url: "http://127.0.0.1:9022"})
	if err != nil || lines(list.GetMembers()) != "4c8e64e91e16db7c 9024\na10202ab0eac4801 9021 leader\nf3fd5b0446cc7033 9023" {
		t.Fatalf("remove: %v\n%s", err, lines(list.GetMembers()))
	}
	for _, url := range []string{"", "127.0.0.1:9024", "http://127.0.0.1", "ftp://127.0.0.1:1"} {
		if _, err := c.AddNode(ctx, &nexuspb.AddNodeRequest{Url: url}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("add %q: %v", url, err)
		}
		if _, err := c.RemoveNode(ctx, &nexuspb.RemoveNodeRequest{Url: url}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("remove %q: %v", url, err)
		}
	}
	// A removed leader may not learn from its own log that it was removed.
	node.fail(fmt.Errorf("%w: gone", raft.ErrRemoved))
	list, err = c.RemoveNode(ctx, &nexuspb.RemoveNodeRequest{Url: "http://127.0.0.1:9021"})
	if err != nil || strings.Contains(lines(list.GetMembers()), "9021") {
		t.Errorf("remove itself: %v\n%s", err, lines(list.GetMembers()))
	}
}

func TestServerTransfer(t *testing.T) {
	node := newFakeNode()
	_, conn := startServer(t, node, &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	for _, tc := range []struct {
		req  *nexuspb.TransferLeaderRequest
		id   uint64
		code codes.Code
	}{
		{&nexuspb.TransferLeaderRequest{}, 0, codes.OK},
		{&nexuspb.TransferLeaderRequest{Url: "http://127.0.0.1:9021"}, 0xa10202ab0eac4801, codes.OK},
		{&nexuspb.TransferLeaderRequest{Id: 0xf3fd5b0446cc7033}, 0xf3fd5b0446cc7033, codes.OK},
		{&nexuspb.TransferLeaderRequest{Id: 1}, 0, codes.InvalidArgument},
		{&nexuspb.TransferLeaderRequest{Url: "x"}, 0, codes.InvalidArgument},
		{&nexuspb.TransferLeaderRequest{Url: "http://127.0.0.1:9022"}, 0, codes.FailedPrecondition},
	} {
		list, err := c.TransferLeader(ctx, tc.req)
		if status.Code(err) != tc.code {
			t.Errorf("%v: %v", tc.req, err)
			continue
		}
		if err == nil && (node.last != tc.id || !strings.Contains(lines(list.GetMembers()), "leader")) {
			t.Errorf("%v: asked for %x: %s", tc.req, node.last, lines(list.GetMembers()))
		}
	}
}

func TestServerStatusAndData(t *testing.T) {
	node := newFakeNode()
	_, conn := startServer(t, node, &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	st, err := c.Status(ctx, &nexuspb.StatusRequest{})
	if err != nil || st.GetId() != 0xa10202ab0eac4801 || st.GetCommit() != 12 || st.GetProgress()[0xf3fd5b0446cc7033] != 10 ||
		st.GetVersion() != "v1" || !st.GetServing() || len(st.GetMembers()) != 3 {
		t.Errorf("%v %v", st, err)
	}
	args := map[string]string{"db.index": "2"}
	if r, err := c.Save(ctx, &nexuspb.SaveRequest{Data: []byte("x"), Args: args}); err != nil || string(r.GetData()) != "saved x in 2" {
		t.Errorf("%v %v", r, err)
	}
	if r, err := c.Load(ctx, &nexuspb.LoadRequest{Data: []byte("x"), Args: args}); err != nil || string(r.GetData()) != "loaded x from 2" {
		t.Errorf("%v %v", r, err)
	}
	node.set(func(s *raft.Status) { s.Serving, s.Problem = false, "no leader" })
	if r, err := c.Check(ctx, &nexuspb.CheckRequest{}); err != nil || r.GetServing() || r.GetProblem() != "no leader" {
		t.Errorf("%v %v", r, err)
	}
}

func TestServerErrors(t *testing.T) {
	store := &fakeStore{}
	_, conn := startServer(t, newFakeNode(), store)
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	for _, tc := range []struct {
		err        error
		save, load codes.Code
		text       string
	}{
		{fmt.Errorf("%w: no leader", raft.ErrNotDone), codes.Unavailable, codes.Unavailable, "not executed: no leader"},
		{fmt.Errorf("%w: timed out", raft.ErrOutcomeUnknown), codes.Unknown, codes.Unavailable, "outcome unknown: timed out"},
		{fmt.Errorf("timed out: %w", raft.ErrOutcomeUnknown), codes.Unknown, codes.Unavailable, "outcome unknown: timed out"},
		{fmt.Errorf("remove n: %w: timed out", raft.ErrOutcomeUnknown), codes.Unknown, codes.Unavailable, "outcome unknown: remove n: timed out"},
		{fmt.Errorf("%w: %w", raft.ErrNotDone, raft.ErrOutcomeUnknown), codes.Unknown, codes.Unavailable, "outcome unknown: it may or may not have been done"},
		{errors.New("surprise"), codes.Unknown, codes.Unavailable, "outcome unknown: surprise"},
		{raft.ErrTooLarge, codes.InvalidArgument, codes.InvalidArgument, "proposal too large"},
		{raft.ErrRemoved, codes.FailedPrecondition, codes.Unavailable, "node was removed"},
		{raft.ErrReplyLost, codes.Unknown, codes.Unavailable, "applied, but the reply was lost"},
		{fmt.Errorf("late: %w", context.DeadlineExceeded), codes.Unknown, codes.DeadlineExceeded, "outcome unknown: late"},
		{fakeRefusal(true), codes.InvalidArgument, codes.InvalidArgument, "refused here"},
		{fakeRefusal(false), codes.FailedPrecondition, codes.FailedPrecondition, "refused here"},
	} {
		store.err = tc.err
		_, err := c.Save(ctx, &nexuspb.SaveRequest{})
		st := status.Convert(err)
		if st.Code() != tc.save || !strings.Contains(st.Message(), tc.text) || strings.Count(st.Message(), "outcome unknown") > 1 {
			t.Errorf("save, %v: %v %q", tc.err, st.Code(), st.Message())
		}
		if len(st.Details()) != 1 || st.Details()[0].(*errdetails.ErrorInfo).GetDomain() != ErrorDomain {
			t.Errorf("save, %v: details %v", tc.err, st.Details())
		}
		if _, err := c.Load(ctx, &nexuspb.LoadRequest{}); status.Code(err) != tc.load || strings.Contains(err.Error(), "outcome unknown: ") {
			t.Errorf("load, %v: %v", tc.err, err)
		}
	}
}

func TestServerMemberErrors(t *testing.T) {
	node := newFakeNode()
	_, conn := startServer(t, node, &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	for err, code := range map[error]codes.Code{
		fmt.Errorf("%w: last voter", raft.ErrRefused): codes.FailedPrecondition,
		errors.New("no leader"):                       codes.Unavailable,
		raft.ErrOutcomeUnknown:                        codes.Unknown,
	} {
		node.fail(err)
		if _, got := c.AddNode(ctx, &nexuspb.AddNodeRequest{Url: "http://127.0.0.1:9024"}); status.Code(got) != code {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestServerHealth(t *testing.T) {
	node := newFakeNode()
	s, conn := startServer(t, node, &fakeStore{})
	c, ctx := healthpb.NewHealthClient(conn), testContext(t)
	for _, service := range []string{"", "nexus.v1.Nexus"} {
		r, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", service, r, err)
		}
	}
	if _, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
	watch, err := c.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if r, err := watch.Recv(); err != nil || r.GetStatus() != want {
			t.Fatalf("%v %v, want %v", r, err, want)
		}
	}
	expect(healthpb.HealthCheckResponse_SERVING)
	node.set(func(s *raft.Status) { s.Serving = false })
	expect(healthpb.HealthCheckResponse_NOT_SERVING)
	// A watcher does not hold up the end of the server.
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestServerReflection(t *testing.T) {
	_, conn := startServer(t, newFakeNode(), &fakeStore{})
	stream, err := reflectpb.NewServerReflectionClient(conn).ServerReflectionInfo(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil || !strings.Contains(r.String(), "nexus.v1.Nexus") {
		t.Errorf("%v %v", r, err)
	}
}

func TestConfigValidate(t *testing.T) {
	cfg := NewConfig()
	if _, err := New(cfg); err == nil {
		t.Error("a Server without a Node")
	}
}
