package mysql

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// follower is a node that knows of a leader, or of none.
type follower struct {
	Node
	leader uint64
	says   raft.Status // of the leader; the zero one for no answer
}

func (follower) Office() (uint64, bool) { return 0, false }
func (f follower) Status() raft.Status  { return raft.Status{ID: 1, Leader: f.leader, Role: "follower"} }

func (f follower) AskLeader(context.Context) (raft.Status, bool) { return f.says, f.says.ID != 0 }

// scripted is a backend whose server says these packets, each when it is asked again, and leaves.
type scripted struct {
	serverless
	unreachable bool
	says        [][]byte
	leader      string
}

func (b scripted) Address(uint64) string { return b.leader }

func (b scripted) Dial(context.Context) (net.Conn, error) {
	if b.unreachable {
		return nil, errors.New("connect to 10.1.2.3:3306: dial tcp 10.1.2.3:3306: connect: connection refused")
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		c := wire.NewConn(there, 1<<20)
		for i, p := range b.says {
			if i > 0 {
				if _, err := c.ReadPacket(); err != nil {
					return
				}
			}
			if answerAll(c, p) != nil {
				return
			}
		}
		if len(b.says) > 0 {
			_, _ = c.ReadPacket() // of who is left alone
		}
	}()
	return here, nil
}

// Who is not served is told so in the place of the answer to his login, which all clients believe, with a code by which drivers turn to another
// server, what he can do, and nothing of what the node says to its server.
func TestTurnedAway(t *testing.T) {
	closed, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	silent := mute.Addr().String() // it accepts, and greets nobody
	arrears := raft.Status{ID: 2, Leader: 2, URL: "http://b:9021", Applied: 7, Commit: 9, Executing: &raft.Executing{What: "changes of rows (log entry 8)", Of: "secret.table", For: 90 * time.Second}}
	leading := alwaysLeader{}
	response := append([]byte{0x8d, 0xa6, 0xff, 0, 0, 0, 0, 1, 45}, make([]byte, 23)...)
	response = append(response, "root\x00\x00mysql_native_password\x00"...)
	asksTLS := append([]byte{0x8d, 0xae, 0xff, 0, 0, 0, 0, 1, 45}, make([]byte, 23)...)
	old := append([]byte{0x8d, 0xa4, 0xff, 0}, response[4:]...)
	aborted := append([]byte{wire.HeaderError, 0xa0, 0x04}, "#08S01Aborted connection 7 to db"...)
	for _, tc := range []struct {
		name     string
		node     Node
		backend  Backend
		response []byte
		code     uint16
		says     string
	}{
		{"no leader", follower{}, scripted{}, response, 1053, "no leader is known: a majority"},
		{"leader that is not reachable", follower{leader: 2}, scripted{leader: cluster.Address(closed)}, response, 1053, "cannot be reached from this node: connect: connection refused"},
		{"leader that says nothing", follower{leader: 2}, scripted{leader: silent}, response, 1053, "the leader does not answer: no answer within"},
		{"leader in arrears", follower{leader: 2, says: arrears}, scripted{leader: silent}, response, 1053,
			"the leader http://b:9021 was elected just now, and its server has applied 7 of 9 entries of the log, and has been executing changes of rows (log entry 8) for 1m30s; try again"},
		{"leader that serves by now", follower{leader: 2, says: raft.Status{ID: 2, Leader: 2, Serving: true}}, scripted{leader: silent}, response, 1053, "the leader does not answer: no answer within"},
		{"leader without an address", follower{leader: 2}, scripted{}, response, 1053, "it is not known where the leader"},
		{"no server", leading, scripted{unreachable: true}, response, 1053, "cannot be reached; connect to another node, or try again"},
		{"silent server", leading, scripted{}, response, 1053, "does not answer; connect to another node"},
		{"server that lets nobody in", leading, scripted{says: [][]byte{append([]byte{wire.HeaderError, 0x10, 0x04}, "Too many connections"...)}}, response, 1040, "Too many connections"},
		{"server that leaves", leading, scripted{says: [][]byte{greetingPacket()}}, response, 1053, "lost during the login"},
		{"server that leaves behind the login", leading, scripted{says: [][]byte{greetingPacket(), okPacket}}, response, 1053, "ended the connection"},
		{"server that aborts", leading, scripted{says: [][]byte{greetingPacket(), okPacket, aborted, aborted}}, response, 1184, "Aborted connection"},
		{"server that answers with no rows", leading, scripted{says: [][]byte{greetingPacket(), okPacket, okPacket, okPacket}}, response, 1053, "ended the connection"},
		{"TLS that was not offered", leading, scripted{says: [][]byte{greetingPacket()}}, asksTLS, 1043, "offers no TLS"},
		{"old protocol", leading, scripted{says: [][]byte{greetingPacket()}}, old, 1043, "protocol 4.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := turnedAway(t, tc.node, tc.backend, tc.response)
			if e == nil || e.Code != tc.code || !strings.Contains(e.Message, tc.says) {
				t.Fatalf("told %v, want %d and %q", e, tc.code, tc.says)
			}
			if tc.code == codeShutdown && e.State != "08S01" {
				t.Errorf("state %s", e.State)
			}
			for _, internal := range []string{"SELECT", "SET ", "secret", "dial", "10.1.2.3", "EOF", "pipe"} {
				if strings.Contains(e.Message, internal) {
					t.Errorf("it tells of %q: %s", internal, e.Message)
				}
			}
		})
	}
}

// turnedAway returns the error that a client is told which logs in with response.
func turnedAway(t *testing.T, node Node, backend Backend, response []byte) *wire.Error {
	t.Helper()
	cfg := NewConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Timeout = time.Second
	s, err := New(cfg, node, backend)
	if err != nil {
		t.Fatal(err)
	}
	here, served := serveOnPipe(s)
	defer func() {
		here.Close()
		<-served
	}()
	client := wire.NewConn(here, 1<<20)
	p, err := client.ReadPacket()
	if g, greeted := wire.ParseGreeting(p); err != nil || greeted != nil || !strings.HasPrefix(g.Version, "10.11.0") {
		t.Fatalf("greeted with %q, %v", p, err)
	}
	if err = answerAll(client, response); err == nil {
		p, err = client.ReadPacket()
	}
	if err != nil || len(p) == 0 || p[0] != wire.HeaderError {
		t.Fatalf("%q, %v", p, err)
	}
	return wire.ParseError(p)
}

// A node that is full says how many it serves, and one that stops that it stops.
func TestNotTakenIn(t *testing.T) {
	cfg := NewConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.MaxConnections = 1
	s, err := New(cfg, follower{}, scripted{})
	if err != nil {
		t.Fatal(err)
	}
	first := &connection{}
	if e := s.add(first); e != nil {
		t.Error(e)
	}
	if e := s.add(&connection{}); e == nil || e.Code != codeTooManyConns || e.State != "08004" || !strings.Contains(e.Message, "serves 1 clients") {
		t.Error(e)
	}
	s.mu.Lock()
	s.draining = true
	delete(s.conns, first)
	s.mu.Unlock()
	if e := s.add(&connection{}); e == nil || e.Code != codeShutdown || !strings.Contains(e.Message, "is being stopped") {
		t.Error(e)
	}
}
