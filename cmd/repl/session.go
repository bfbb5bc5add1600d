package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/proxy/admin"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

const (
	dialTimeout = 5 * time.Second
	// maxReply bounds an answer; a list of all keys can be long.
	maxReply = 1 << 30
)

// session is one call to one node.
type session struct {
	ctx    context.Context
	client nexuspb.NexusClient
	out    io.Writer
	// progress is for what a person wants to see meanwhile.
	progress io.Writer
	json     bool
	force    bool
	coloured bool
	interval time.Duration
	count    int
}

func (c *command) run(ctx context.Context, out, progress io.Writer) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	if err := c.reach(ctx); err != nil {
		return err
	}
	options, err := c.access.dialOptions(os.Getenv)
	if err != nil {
		return err
	}
	options = append(options, grpc.WithDisableRetry(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)))
	conn, err := grpc.NewClient("passthrough:///"+c.addr, options...)
	if err != nil {
		return fmt.Errorf("%s: %w", c.addr, err)
	}
	defer conn.Close()
	return c.explain(c.verb.run(&session{
		ctx: ctx, client: nexuspb.NewNexusClient(conn), out: out, progress: progress, json: c.json, force: c.force,
		coloured: wantsColour(out, os.Getenv), interval: c.interval, count: c.count,
	}, c.args))
}

// reach finds out whether anybody listens: after that, a connection that breaks means that nothing is known.
func (c *command) reach(ctx context.Context) error {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return fmt.Errorf("no node answers at %s, nothing was done: %w. Does the node run, with that -grpcPort and a -bind that is reached from here?", c.addr, err)
	}
	return conn.Close()
}

// describe turns the error of a call into what the user needs to know. A change whose call failed without an answer of
// the node may have been made.
func describe(err error, change bool) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	if st.Code() == codes.Unimplemented {
		return errors.New("this node does not know the verb: its version is another one")
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == admin.ErrorDomain {
			return errors.New(st.Message())
		}
	}
	if c := st.Code(); c == codes.Unauthenticated || c == codes.PermissionDenied {
		return errors.New(st.Message())
	}
	unanswered := fmt.Errorf("%w: %s", errNoAnswer, st.Message())
	switch st.Code() {
	case codes.Canceled:
		unanswered = errors.New("it was broken off here")
	case codes.DeadlineExceeded:
		unanswered = fmt.Errorf("%w in time, see -timeout", errNoAnswer)
	}
	if change {
		return fmt.Errorf("outcome unknown: %w", unanswered)
	}
	return unanswered
}

func (s *session) save(args []string) error      { return s.saveTo("Redis", args) }
func (s *session) load(args []string) error      { return s.loadFrom("Redis", args) }
func (s *session) saveMySQL(args []string) error { return s.saveTo("MySQL", args) }
func (s *session) loadMySQL(args []string) error { return s.loadFrom("MySQL", args) }

func (s *session) saveTo(backend string, args []string) error {
	statement, named := splitStatement(args)
	resp, err := s.client.Save(admin.AskedOf(s.ctx, backend), &nexuspb.SaveRequest{Data: statement, Args: named})
	if err != nil {
		return describe(err, true)
	}
	return s.response(backend, resp.GetData())
}

func (s *session) loadFrom(backend string, args []string) error {
	statement, named := splitStatement(args)
	resp, err := s.client.Load(admin.AskedOf(s.ctx, backend), &nexuspb.LoadRequest{Data: statement, Args: named})
	if err != nil {
		return describe(err, false)
	}
	return s.response(backend, resp.GetData())
}

func splitStatement(args []string) (statement []byte, named map[string]string) {
	last := len(args) - 1
	named = make(map[string]string)
	for _, arg := range args[:last] {
		name, value, _ := strings.Cut(arg, "=")
		named[name] = value
	}
	return []byte(args[last]), named
}

func (s *session) response(backend string, data []byte) error {
	if s.json {
		return s.printJSON(map[string]string{"response": string(data)})
	}
	_, err := fmt.Fprintf(s.out, "Response from %s (without quotes): '%s'\n", backend, data)
	return err
}

func (s *session) listNodes([]string) error {
	resp, err := s.client.ListNodes(s.ctx, &nexuspb.ListNodesRequest{})
	return s.members(resp, describe(err, false))
}

func (s *session) addNode(args []string) error {
	stop := s.follow(args[0], false)
	resp, err := s.client.AddNode(s.ctx, &nexuspb.AddNodeRequest{Url: args[0]})
	stop()
	if err == nil {
		s.tellFilling(args[0])
	}
	return s.members(resp, describe(err, true))
}

func (s *session) removeNode(args []string) error {
	resp, err := s.client.RemoveNode(s.ctx, &nexuspb.RemoveNodeRequest{Url: args[0], Force: s.force})
	return s.members(resp, describe(err, true))
}

func (s *session) replaceNode(args []string) error {
	by := args[len(args)-1]
	stop := s.follow(by, true)
	resp, err := s.client.ReplaceNode(s.ctx, &nexuspb.ReplaceNodeRequest{Url: args[0], By: by})
	stop()
	if err == nil {
		s.tellFilling(by)
	}
	return s.members(resp, describe(err, true))
}

func (s *session) transferLeader(args []string) error {
	req := &nexuspb.TransferLeaderRequest{}
	if len(args) > 0 {
		id, err := strconv.ParseUint(args[0], 16, 64)
		switch {
		case strings.Contains(args[0], "://"):
			req.Url = strings.TrimSuffix(args[0], "/")
		case err != nil || id == 0:
			return fmt.Errorf("%w: %q is neither a node URL nor an id as listNodes shows it", errUsage, args[0])
		default:
			req.Id = id
		}
	}
	resp, err := s.client.TransferLeader(s.ctx, req)
	return s.members(resp, describe(err, true))
}

// member is a member as JSON shows it: ids are too large for the numbers of many readers of JSON.
type member struct {
	ID      string `json:"id"`
	URL     string `json:"url"`
	Leader  bool   `json:"leader"`
	Learner bool   `json:"learner"`
}

func (s *session) members(resp *nexuspb.MembersResponse, err error) error {
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(map[string][]member{"members": jsonMembers(resp.GetMembers())})
	}
	_, err = io.WriteString(s.out, "Current cluster members:\n"+memberLines(resp.GetMembers()))
	return err
}

func jsonMembers(list []*nexuspb.Member) []member {
	members := make([]member, 0, len(list))
	for _, m := range list {
		members = append(members, member{ID: hex(m.GetId()), URL: m.GetUrl(), Leader: m.GetLeader(), Learner: m.GetLearner()})
	}
	return members
}

func memberLines(list []*nexuspb.Member) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%s => %s", hex(m.GetId()), m.GetUrl())
		if m.GetLeader() {
			b.WriteString(" (leader)")
		}
		if m.GetLearner() {
			b.WriteString(" (learner)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// hex is an id as messages of the nodes have it.
func hex(id uint64) string { return fmt.Sprintf("%016x", id) }

func (s *session) printJSON(v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
