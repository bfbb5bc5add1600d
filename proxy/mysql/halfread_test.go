package mysql

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// unread is a leader that does not know whether it still is.
type unread struct{ alwaysLeader }

func (unread) Read(context.Context, func(context.Context) error) error {
	return errors.New("no majority answers")
}

// A read that must not be shown, as was noticed amid its rows, ends the session: what the server has still to send would be taken for the
// answer to the next statement.
func TestReadThatIsGivenUpAmidItsRows(t *testing.T) {
	cfg := NewConfig()
	cfg.LeaseReads = true
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	client, peer := net.Pipe()
	defer client.Close()
	defer peer.Close()
	s := &session{server: &Server{cfg: cfg, node: unread{}, ctx: t.Context()}, backend: wire.NewConn(near, 1<<20), client: wire.NewConn(client, 1<<20)}
	go func() {
		c := wire.NewConn(far, 1<<20)
		if _, err := c.ReadPacket(); err != nil {
			return
		}
		answer := answersTo([]byte("\x03SELECT"))
		row := append([]byte{0xfc, 0, 0x10}, bytes.Repeat([]byte("x"), 4096)...)
		row = append(row, "\x010\x010\x010\x010"...)
		answer = answer[:7]
		for range 100 {
			answer = append(answer, row)
		}
		_ = answerAll(c, append(answer, eofPacket)...) // nobody reads all of it
	}()
	failed, err := s.relayRead(s.textCall("SELECT a FROM t", false))
	if !failed || !errors.Is(err, errHangUp) {
		t.Errorf("got %t, %v, want the end of the session", failed, err)
	}
	if kind := s.textCall("SELECT a FROM t", false).what.Kind; kind != statement.Read {
		t.Errorf("it is %v", kind)
	}
}
