package main

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/proxy/admin"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// fakeNexus is a node whose answers do not change, but for what it counts.
type fakeNexus struct {
	nexuspb.UnimplementedNexusServer
	mu     sync.Mutex
	looks  uint64
	fail   error // instead of what a node does
	backup [][]byte
	before func() // is called before a backup is sent
	old    bool   // of a version that knows only itself
	alone  bool   // without a leader
	joined int    // how often it was asked since a node is to join

	follower bool // the asked node does not lead
	silent   bool // the node that is to join does not answer
	quick    bool // changes do not wait until somebody asks how far they are
}

const (
	leaderID  = 0xa10202ab0eac4801
	followID  = 0x663ca4baed7470b5
	unreachID = 0xf3fd5b0446cc7033
	joinID    = 4
)

func startFake(t *testing.T) (*fakeNexus, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeNexus{}
	server := grpc.NewServer()
	nexuspb.RegisterNexusServer(server, f)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f, ln.Addr().String()
}

// run calls the program as a shell does.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = realMain(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func members() []*nexuspb.Member {
	return []*nexuspb.Member{
		{Id: followID, Url: "http://127.0.0.1:9022"},
		{Id: leaderID, Url: "http://127.0.0.1:9021", Leader: true},
		{Id: unreachID, Url: "http://127.0.0.1:9023", Learner: true},
	}
}

func (f *fakeNexus) Status(context.Context, *nexuspb.StatusRequest) (*nexuspb.StatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	f.looks++
	st := leaderStatus()
	if f.alone {
		st.Leader, st.Role = 0, "follower"
	}
	if f.joined > 0 {
		f.joined++
		st.Members = append(st.Members, &nexuspb.Member{Id: joinID, Url: "http://127.0.0.1:9024", Learner: true})
		st.Progress[joinID] = 10
		if f.joined%2 == 0 {
			st.Sending = map[uint64]*nexuspb.Sending{joinID: {Sent: 3e6, Size: 12e6}}
		}
	}
	if f.follower {
		st.Id, st.Role, st.Progress, st.Sending = followID, "follower", nil, nil
	}
	return st, nil
}

func leaderStatus() *nexuspb.StatusResponse {
	return &nexuspb.StatusResponse{
		ClusterName: "test", Cluster: 0xc1, Id: leaderID, Url: "http://127.0.0.1:9021", Role: "leader", Leader: leaderID,
		Term: 3, Commit: 5012, Applied: 5012, Snapshot: 4000, Serving: true, Version: "v1.2.3", LeaseMs: 850, Members: members(),
		Progress: map[uint64]uint64{followID: 5000, leaderID: 5012},
	}
}

func (f *fakeNexus) Cluster(context.Context, *nexuspb.ClusterRequest) (*nexuspb.ClusterResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.old {
		return nil, status.Error(codes.Unimplemented, "unknown method Cluster")
	}
	follower := &nexuspb.StatusResponse{
		Id: followID, Url: "http://127.0.0.1:9022", Role: "follower", Leader: leaderID, Term: 3, Commit: 5012, Applied: 3000,
		Problem: "backend of this node: connection refused", Version: "v1.2.2",
	}
	all := members()
	leader := leaderStatus()
	leader.Executing = &nexuspb.Executing{What: "changes of rows (log entry 5013)", Of: "app.t", ForMs: 130_400}
	if f.follower && f.joined > 0 {
		leader.Sending = map[uint64]*nexuspb.Sending{joinID: {Sent: 5e6, Size: 10e6}}
	}
	joiner := &nexuspb.NodeReport{Member: &nexuspb.Member{Id: joinID, Url: "http://127.0.0.1:9024", Learner: true}}
	if f.silent {
		joiner.Problem = "does not answer: connection refused"
	}
	nodes := []*nexuspb.NodeReport{
		{Member: all[1], Status: leader, Activity: &nexuspb.Activity{
			Reads: 1000 * f.looks, Writes: 100 * f.looks, Commands: 1100 * f.looks, Clients: 7,
			ReadSeconds: 0.5 * float64(f.looks), ReadsTimed: 500 * f.looks, WriteSeconds: 0.2 * float64(f.looks), WritesTimed: 100 * f.looks,
		}},
		{Member: all[0], Status: follower, Activity: &nexuspb.Activity{}},
		{Member: all[2], Problem: "no answer within 1s"},
	}
	if f.joined > 0 {
		nodes = append(nodes, joiner)
	}
	return &nexuspb.ClusterResponse{Nodes: nodes}, nil
}

func (f *fakeNexus) members(changed bool) (*nexuspb.MembersResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil && changed {
		return nil, f.fail
	}
	return &nexuspb.MembersResponse{Members: members()}, nil
}

func (f *fakeNexus) ListNodes(context.Context, *nexuspb.ListNodesRequest) (*nexuspb.MembersResponse, error) {
	return f.members(false)
}

// AddNode answers when somebody has asked how far it is.
func (f *fakeNexus) AddNode(ctx context.Context, _ *nexuspb.AddNodeRequest) (*nexuspb.MembersResponse, error) {
	f.follow(ctx)
	return f.members(true)
}

func (f *fakeNexus) follow(ctx context.Context) {
	f.mu.Lock()
	f.joined = 1
	quick := f.quick
	f.mu.Unlock()
	for !quick && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
		f.mu.Lock()
		enough := f.joined > 3
		f.mu.Unlock()
		if enough {
			return
		}
	}
}

func (f *fakeNexus) RemoveNode(context.Context, *nexuspb.RemoveNodeRequest) (*nexuspb.MembersResponse, error) {
	return f.members(true)
}

func (f *fakeNexus) ReplaceNode(ctx context.Context, _ *nexuspb.ReplaceNodeRequest) (*nexuspb.MembersResponse, error) {
	f.follow(ctx)
	return f.members(true)
}

func (f *fakeNexus) TransferLeader(context.Context, *nexuspb.TransferLeaderRequest) (*nexuspb.MembersResponse, error) {
	return f.members(true)
}

func (f *fakeNexus) Save(_ context.Context, req *nexuspb.SaveRequest) (*nexuspb.SaveResponse, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	return &nexuspb.SaveResponse{Data: append([]byte(req.GetArgs()["db.index"]+req.GetArgs()["db"]+":"), req.GetData()...)}, nil
}

func (f *fakeNexus) Load(_ context.Context, req *nexuspb.LoadRequest) (*nexuspb.LoadResponse, error) {
	return &nexuspb.LoadResponse{Data: append([]byte("loaded "), req.GetData()...)}, nil
}

func (f *fakeNexus) Snapshot(context.Context, *nexuspb.SnapshotRequest) (*nexuspb.SnapshotResponse, error) {
	return &nexuspb.SnapshotResponse{Index: 5012}, nil
}

func (f *fakeNexus) Repair(context.Context, *nexuspb.RepairRequest) (*nexuspb.RepairResponse, error) {
	return &nexuspb.RepairResponse{}, nil
}

func (f *fakeNexus) Verify(context.Context, *nexuspb.VerifyRequest) (*nexuspb.VerifyResponse, error) {
	return &nexuspb.VerifyResponse{Index: 5012, Members: []*nexuspb.VerifiedMember{
		{Id: leaderID, Url: "http://127.0.0.1:9021", Items: 12},
		{Id: followID, Url: "http://127.0.0.1:9022", Items: 13, Differences: []*nexuspb.PartDifference{{Part: "db0", Items: 2, AtLeast: true}}},
		{Id: unreachID, Url: "http://127.0.0.1:9023", Problem: "no answer"},
	}}, nil
}

func (f *fakeNexus) Backup(_ *nexuspb.BackupRequest, stream nexuspb.Nexus_BackupServer) error {
	if f.before != nil {
		f.before()
	}
	for _, part := range f.backup {
		if err := stream.Send(&nexuspb.BackupResponse{Data: part}); err != nil {
			return err
		}
	}
	return nil
}

// nodeError is an error as a node gives it.
func nodeError(code codes.Code, text string) error {
	st, err := status.New(code, text).WithDetails(&errdetails.ErrorInfo{Domain: admin.ErrorDomain})
	if err != nil {
		panic(err)
	}
	return st.Err()
}
