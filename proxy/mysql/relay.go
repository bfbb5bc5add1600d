package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

const (
	relayPause      = 20 * time.Millisecond
	announcePause   = time.Second
	announceTimeout = 5 * time.Second
)

// relay connects a client to the leader and passes bytes on until either end closes.
func (s *Server) relay(ctx context.Context, c *connection) {
	leader, err := s.dialLeader(ctx)
	if err != nil {
		w := wire.NewConn(c.client, s.cfg.MaxPacket)
		_ = c.client.SetWriteDeadline(time.Now().Add(time.Second))
		_ = w.WritePacket(unavailable(err).Packet()) // it is about to be closed
		_ = w.Flush()
		return
	}
	defer leader.Close()
	s.mu.Lock()
	c.close = func() { c.client.Close(); leader.Close() }
	draining := s.draining
	s.mu.Unlock()
	if draining {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(c.client, leader) // either end closing is how it ends
		c.client.Close()
	}()
	_, _ = io.Copy(leader, c.client)
	leader.Close()
	<-done
}

// dialLeader waits for a leader that is known and answers.
func (s *Server) dialLeader(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, &raft.NoAnswerError{After: s.cfg.Timeout})
	defer cancel()
	for {
		c, err := s.tryLeader(ctx)
		if err == nil {
			return c, nil
		}
		select {
		case <-time.After(relayPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (s *Server) tryLeader(ctx context.Context) (net.Conn, error) {
	st := s.node.Status()
	if st.Leader == 0 {
		return nil, errors.New("no leader is known, try again")
	}
	if st.Leader == st.ID {
		return nil, errors.New("this node was elected just now, try again")
	}
	address := s.backend.Address(st.Leader)
	if address == "" {
		return nil, fmt.Errorf("it is not known where the leader %s serves clients, try again", st.LeaderURL())
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the leader: %w", err)
	}
	return c, nil
}

// announce puts into the log where this node serves clients, whenever the log says otherwise.
func (s *Server) announce() {
	for s.cfg.Advertise != "" {
		st := s.node.Status()
		if st.ID != 0 && st.Leader != 0 && s.backend.Address(st.ID) != s.cfg.Advertise {
			ctx, cancel := context.WithTimeout(s.ctx, announceTimeout)
			_, err := s.node.Propose(ctx, [][]byte{appliers.EncodeAddress(st.ID, s.cfg.Advertise)})
			cancel()
			if err != nil {
				s.cfg.Logger.Debug("announce where clients are served", "err", err)
			}
		}
		select {
		case <-time.After(announcePause):
		case <-s.ctx.Done():
			return
		}
	}
}
