package mysql

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

const (
	announcePause   = time.Second
	announceTimeout = 5 * time.Second
)

// relay passes on what a client and the leader say, until either end closes.
func (s *Server) relay(ctx context.Context, c *connection, leader *leaderConn) {
	defer leader.Close()
	s.mu.Lock()
	c.close = func() { c.client.Close(); leader.Close() }
	c.relayed.conn = leader
	draining := s.draining
	s.mu.Unlock()
	if draining {
		return
	}
	r := relay{server: s, client: wire.NewConn(c.client, maxLoginPacket), leader: wire.NewConn(leader, s.cfg.MaxPacket), host: leader.host}
	if s.accept != nil {
		if err := r.login(ctx, c.local); err != nil {
			s.cfg.Logger.Debug("login through the leader", "client", c.client.RemoteAddr(), "err", err)
			return
		}
		s.mu.Lock()
		draining = s.draining // the login has undone what Close has set
		s.mu.Unlock()
		if draining {
			return
		}
	}
	r.pump()
}

// movedLooks at another leader, one at each officePause, end a relay: by then who has led has answered what it could, and has closed its
// sessions. If it has not, it is stopped or cut off, and would keep its clients waiting for as long as that lasts.
const movedLooks = 20

// relayed is what the watch over offices knows of a connection that is relayed. Guarded by Server.mu.
type relayed struct {
	conn  *leaderConn // nil for others
	moved int         // looks in a row at which another member was known to lead
}

// isLost reports, once, that the leader of the relay has not led for long. None is known (0) where this node is cut off, which says nothing.
func (r *relayed) isLost(leader uint64) bool {
	switch {
	case r.conn == nil || leader == 0:
		return false
	case leader == r.conn.id:
		r.moved = 0
		return false
	}
	r.moved++
	return r.moved == movedLooks
}

// relay is a client and its connection to the leader.
type relay struct {
	server         *Server
	client, leader *wire.Conn
	host           string // of the leader, as its certificate has it
}

// login passes the login on packet by packet: each end may go over to TLS by itself, and counts its packets by itself.
func (r *relay) login(ctx context.Context, local bool) error {
	deadline, _ := ctx.Deadline()
	for _, c := range []*wire.Conn{r.client, r.leader} {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	p, err := r.leader.ReadPacket()
	if err != nil {
		return errors.Join(err, r.server.turnAway(ctx, r.client, local, unserved("the leader does not answer"+elsewhere)))
	}
	greeting, err := wire.ParseGreeting(p)
	if err != nil {
		e := wire.ParseError(p)
		return errors.Join(e, r.server.turnAway(ctx, r.client, local, e))
	}
	r.client.Seq = 0
	if err := r.tell(greeting.Packet(r.server.offeredTo(greeting.Capabilities), greeting.Extended)); err != nil {
		return err
	}
	response, err := r.server.readResponse(ctx, r.client, local)
	var refused *wire.Error
	if errors.As(err, &refused) {
		return errors.Join(refused, r.tell(refused.Packet()))
	}
	if err != nil {
		return err
	}
	if err := r.server.secureRelay(ctx, r.leader, r.host, response); err != nil {
		return errors.Join(err, r.tell(unserved("there is no TLS between this node and the leader"+elsewhere).Packet()))
	}
	if err := passLogin(r.client, r.leader, response, r.tell); err != nil {
		if wasTold(err) {
			return err
		}
		return errors.Join(err, r.tell(unserved("the leader was lost during the login"+elsewhere).Packet()))
	}
	for _, c := range []*wire.Conn{r.client, r.leader} {
		if err := c.SetDeadline(time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func (r *relay) tell(p []byte) error { return tell(r.client, p) }

// pump passes bytes on until either end closes.
func (r *relay) pump() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(r.client.Conn, r.leader.Reader()) // either end closing is how it ends
		r.client.Close()
	}()
	_, err := io.Copy(r.leader.Conn, r.client.Reader())
	if half, ok := r.leader.Conn.(interface{ CloseWrite() error }); ok && errors.Is(err, os.ErrDeadlineExceeded) && half.CloseWrite() == nil {
		// This node stops. The leader ends the session when it has answered what it was asked, and the client gets that.
		<-done
	}
	r.leader.Close()
	<-done
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
