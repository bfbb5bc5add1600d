package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

// service implements the calls of nexuspb.
type service struct {
	nexuspb.UnimplementedNexusServer
	cfg Config
}

func (s *service) Check(context.Context, *nexuspb.CheckRequest) (*nexuspb.CheckResponse, error) {
	st := s.cfg.Node.Status()
	return &nexuspb.CheckResponse{Serving: st.Serving, Problem: problem(st)}, nil
}

func (s *service) Save(ctx context.Context, req *nexuspb.SaveRequest) (*nexuspb.SaveResponse, error) {
	if err := s.checkAsked(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, &raft.NoAnswerError{After: s.cfg.Timeout})
	defer cancel()
	data, err := s.cfg.Datastore.Save(ctx, req.GetData(), req.GetArgs())
	if err != nil {
		return nil, statusError(err)
	}
	return &nexuspb.SaveResponse{Data: data}, nil
}

func (s *service) Load(ctx context.Context, req *nexuspb.LoadRequest) (*nexuspb.LoadResponse, error) {
	if err := s.checkAsked(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, &raft.NoAnswerError{After: s.cfg.Timeout})
	defer cancel()
	data, err := s.cfg.Datastore.Load(ctx, req.GetData(), req.GetArgs())
	if err != nil {
		return nil, readError(err)
	}
	return &nexuspb.LoadResponse{Data: data}, nil
}

func (s *service) AddNode(ctx context.Context, req *nexuspb.AddNodeRequest) (*nexuspb.MembersResponse, error) {
	url := strings.TrimSuffix(req.GetUrl(), "/")
	if _, err := raft.ParseNodeURL(url); err != nil {
		return nil, invalid("url: " + err.Error())
	}
	ctx, cancel := s.memberContext(ctx)
	defer cancel()
	s.cfg.Logger.Info("adding a node", "url", url)
	if err := s.cfg.Node.AddMember(ctx, url); err != nil {
		return nil, memberError(err)
	}
	return s.membersWith(ctx, url), nil
}

// answerTime is what is left of a caller's time, of short ones a tenth, to tell why it was not enough.
const answerTime = time.Second

// memberContext bounds what may take long, so that the caller hears of its end before giving up.
func (s *service) memberContext(ctx context.Context) (context.Context, context.CancelFunc) {
	patience := s.cfg.MemberTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		patience = min(patience, left-min(answerTime, left/10))
	}
	return context.WithTimeoutCause(ctx, patience, &raft.NoAnswerError{After: patience.Round(100 * time.Millisecond)})
}

// membersWith returns the members when this node, too, has seen that the one at url votes.
func (s *service) membersWith(ctx context.Context, url string) *nexuspb.MembersResponse {
	s.await(ctx, func() bool {
		m := s.find(url)
		return m != nil && !m.Learner
	})
	return s.members()
}

func (s *service) ReplaceNode(ctx context.Context, req *nexuspb.ReplaceNodeRequest) (*nexuspb.MembersResponse, error) {
	url, by := strings.TrimSuffix(req.GetUrl(), "/"), strings.TrimSuffix(req.GetBy(), "/")
	if by == "" {
		by = url
	}
	for _, u := range []string{url, by} {
		if _, err := raft.ParseNodeURL(u); err != nil {
			return nil, invalid("url: " + err.Error())
		}
	}
	ctx, cancel := s.memberContext(ctx)
	defer cancel()
	s.cfg.Logger.Info("replacing a node", "url", url, "by", by)
	if err := s.cfg.Node.ReplaceMember(ctx, url, by); err != nil {
		return nil, memberError(err)
	}
	return s.membersWith(ctx, by), nil
}

func (s *service) RemoveNode(ctx context.Context, req *nexuspb.RemoveNodeRequest) (*nexuspb.MembersResponse, error) {
	url := strings.TrimSuffix(req.GetUrl(), "/")
	if _, err := raft.ParseNodeURL(url); err != nil {
		return nil, invalid("url: " + err.Error())
	}
	ctx, cancel := s.memberContext(ctx)
	defer cancel()
	s.cfg.Logger.Info("removing a node", "url", url)
	self := url == s.cfg.Node.Status().URL
	if err := s.cfg.Node.RemoveMember(ctx, url, req.GetForce()); err != nil && (!self || !errors.Is(err, raft.ErrRemoved)) {
		return nil, memberError(err)
	}
	if !self {
		s.await(ctx, func() bool { return s.find(url) == nil })
	}
	// The node that was removed may never learn the rest of the log.
	list := s.members()
	list.Members = slices.DeleteFunc(list.Members, func(m *nexuspb.Member) bool { return m.GetUrl() == url })
	return list, nil
}

func (s *service) ListNodes(context.Context, *nexuspb.ListNodesRequest) (*nexuspb.MembersResponse, error) {
	return s.members(), nil
}

func (s *service) TransferLeader(ctx context.Context, req *nexuspb.TransferLeaderRequest) (*nexuspb.MembersResponse, error) {
	target, err := s.target(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.memberContext(ctx)
	defer cancel()
	before := s.cfg.Node.Status().Leader
	id := target.ID
	s.cfg.Logger.Info("moving the leadership", "to", cmp.Or(target.URL, "the best successor"))
	if err := s.cfg.Node.TransferLeadership(ctx, id); err != nil {
		return nil, memberError(err)
	}
	s.await(ctx, func() bool {
		leader := s.cfg.Node.Status().Leader
		return leader == id || (id == 0 && leader != 0 && leader != before)
	})
	return s.members(), nil
}

// target returns the member that shall lead; the zero Member if the caller left it open.
func (s *service) target(req *nexuspb.TransferLeaderRequest) (raft.Member, error) {
	if req.GetId() == 0 && req.GetUrl() == "" {
		return raft.Member{}, nil
	}
	for _, m := range s.cfg.Node.Members() {
		if m.ID != req.GetId() && (m.URL != req.GetUrl() || req.GetId() != 0) {
			continue
		}
		if m.Learner {
			return raft.Member{}, newStatus(codes.FailedPrecondition, "REFUSED", fmt.Sprintf("%s is a learner and cannot lead yet", m.URL))
		}
		return m, nil
	}
	if req.GetId() != 0 {
		return raft.Member{}, invalid(fmt.Sprintf("%016x is not the id of a member", req.GetId()))
	}
	return raft.Member{}, invalid(fmt.Sprintf("%q is not the URL of a member", req.GetUrl()))
}

func (s *service) Status(context.Context, *nexuspb.StatusRequest) (*nexuspb.StatusResponse, error) {
	return statusOf(s.cfg.Node.Status(), s.cfg.Version), nil
}

func statusOf(st raft.Status, version string) *nexuspb.StatusResponse {
	return &nexuspb.StatusResponse{
		ClusterName: st.ClusterName,
		Cluster:     st.Cluster,
		Id:          st.ID,
		Url:         st.URL,
		Role:        st.Role,
		Leader:      st.Leader,
		Term:        st.Term,
		Commit:      st.Commit,
		Applied:     st.Applied,
		Members:     membersOf(st.Members, st.Leader),
		LeaseMs:     st.Lease.Milliseconds(),
		Progress:    st.Progress,
		Sending:     sendingOf(st.Sending),
		Serving:     st.Serving,
		Problem:     problem(st),
		Version:     version,
		Snapshot:    st.Snapshot,
		Quarantined: st.Quarantined,
		Executing:   executingOf(st.Executing),
	}
}

func executingOf(e *raft.Executing) *nexuspb.Executing {
	if e == nil {
		return nil
	}
	return &nexuspb.Executing{What: sendable(e.What), Of: sendable(e.Of), ForMs: e.For.Milliseconds()}
}

func sendingOf(all map[uint64]raft.Sending) map[uint64]*nexuspb.Sending {
	if len(all) == 0 {
		return nil
	}
	list := make(map[uint64]*nexuspb.Sending, len(all))
	for to, s := range all {
		list[to] = &nexuspb.Sending{Sent: s.Sent, Size: s.Size}
	}
	return list
}

func (s *service) members() *nexuspb.MembersResponse {
	return &nexuspb.MembersResponse{Members: membersOf(s.cfg.Node.Members(), s.cfg.Node.Status().Leader)}
}

func (s *service) find(url string) *raft.Member {
	for _, m := range s.cfg.Node.Members() {
		if m.URL == url {
			return &m
		}
	}
	return nil
}

// await waits for this node to see a change that was made on the leader, so that the answer shows it. A node that is
// far behind answers without.
func (s *service) await(ctx context.Context, seen func() bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !seen() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func membersOf(members []raft.Member, leader uint64) []*nexuspb.Member {
	list := make([]*nexuspb.Member, 0, len(members))
	for _, m := range members {
		list = append(list, &nexuspb.Member{Id: m.ID, Url: m.URL, Learner: m.Learner, Leader: m.ID == leader && leader != 0})
	}
	slices.SortFunc(list, func(a, b *nexuspb.Member) int {
		if a.GetId() < b.GetId() {
			return -1
		}
		return 1
	})
	return list
}

// sendable returns text as a message can carry it. A backend may have said it, in any bytes.
func sendable(text string) string { return strings.ToValidUTF8(text, "?") }

// problem is why a node does not serve. It is never empty then.
func problem(st raft.Status) string {
	if st.Serving || st.Problem != "" {
		return sendable(st.Problem)
	}
	return "the node is " + st.Role
}
