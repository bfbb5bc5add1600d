package mysql

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// buggy panics for the first client.
type buggy struct {
	*trusting
	dialed atomic.Bool
}

func (b *buggy) Dial(ctx context.Context) (net.Conn, error) {
	if !b.dialed.Swap(true) {
		panic("bug")
	}
	return b.trusting.Dial(ctx)
}

func TestPanicEndsOneSession(t *testing.T) {
	var logged bytes.Buffer
	cfg := NewConfig()
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	s, err := New(cfg, alwaysLeader{}, &buggy{trusting: &trusting{answers: [][]byte{{wire.HeaderOK, 0, 0, 2, 0, 0, 0}}}})
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !s.listen(lis) {
		t.Fatal("closed already")
	}
	served := make(chan error, 1)
	go func() { served <- s.acceptAll(lis, false) }()
	for _, want := range []bool{false, true} {
		c, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p, err := wire.NewConn(c, 1<<20).ReadPacket()
		if greeted := err == nil && len(p) > 0 && p[0] == 10; greeted != want {
			t.Errorf("greeted %t, want %t: %v", greeted, want, err)
		}
		if !want {
			if _, err := io.ReadAll(c); err != nil {
				t.Error(err)
			}
		}
		c.Close()
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if n := strings.Count(logged.String(), "a session panicked"); n != 1 {
		t.Errorf("told %d times: %s", n, logged.String())
	}
}

// Nor does a text that comes from within the process, as an event does.
func TestPanicEndsOneLocalSession(t *testing.T) {
	cfg := NewConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := New(cfg, alwaysLeader{}, &buggy{trusting: &trusting{}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.dialLocal(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
