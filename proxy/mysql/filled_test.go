package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// hollow is a node that reads nothing from its server.
type hollow struct {
	Node
	says raft.Status
}

func (n hollow) Status() raft.Status { return n.says }
func (hollow) Read(context.Context, func(context.Context) error) error {
	return fmt.Errorf("%w: backend of this node: connect to 10.1.2.3:3306: secret", raft.ErrNotDone)
}

// undialled is a backend that must not be asked who logs in.
type undialled struct{ serverless }

func (undialled) Dial(context.Context) (net.Conn, error) {
	return nil, errors.New("it was asked all the same")
}

// Who logs in where the server is not read is told why, and nothing of what the node knows of its server.
func TestReaderTurnedAway(t *testing.T) {
	for _, tc := range []struct {
		says raft.Status
		want string
	}{
		{raft.Status{Role: "removed", Leader: 2}, "was removed from its cluster; connect to another node"},
		{raft.Status{Role: "starting"}, "this node is starting"},
		{raft.Status{Role: "joining"}, "waits to be added"},
		{raft.Status{Role: "learner", Leader: 2}, "has yet to take over"},
		{raft.Status{Role: "follower", Leader: 2, Quarantined: true}, "holds other data"},
		{raft.Status{Role: "follower"}, "no leader is known"},
		{raft.Status{Role: "follower", Leader: 2}, "out of reach, does not answer, or is being filled"},
		{raft.Status{Role: "follower", Leader: 2, Serving: true, Applied: 3, Commit: 5}, "has applied 3 of 5 entries"},
	} {
		cfg := NewConfig()
		cfg.Logger = slog.New(slog.DiscardHandler)
		s, err := New(cfg, hollow{says: tc.says}, undialled{})
		if err != nil {
			t.Fatal(err)
		}
		here, there := net.Pipe()
		if err := here.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() {
			s.serve(&connection{client: there, reader: true, close: func() { there.Close() }})
			there.Close()
		}()
		client := wire.NewConn(here, 1<<20)
		if _, err := client.ReadPacket(); err != nil {
			t.Fatal(err)
		}
		response := append([]byte{0x8d, 0xa6, 0xff, 0, 0, 0, 0, 1, 45}, make([]byte, 23)...)
		if err := answerAll(client, append(response, "root\x00\x00mysql_native_password\x00"...)); err != nil {
			t.Fatal(err)
		}
		p, err := client.ReadPacket()
		if err != nil || len(p) == 0 || p[0] != wire.HeaderError {
			t.Fatalf("%s: %q, %v", tc.says.Role, p, err)
		}
		if e := wire.ParseError(p); e.Code != codeShutdown || !strings.Contains(e.Message, tc.want) || strings.Contains(e.Message, "secret") {
			t.Errorf("told %v, want %q", e, tc.want)
		}
		here.Close()
	}
}
