package mysql

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// turnAway greets a client that is not served, and tells it why in the place of the answer to its login. An error in the place of the
// greeting is not believed by clients that may use TLS: they speak of TLS instead.
func (s *Server) turnAway(ctx context.Context, client *wire.Conn, local bool, e *wire.Error) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := client.SetDeadline(deadline); err != nil {
			return err
		}
	}
	version := s.backend.Version()
	if version == "" { // the server was not asked yet
		version = leastVersion
	}
	client.Limit, client.Seq = maxLoginPacket, 0
	if err := tell(client, wire.Hello(version, s.offeredTo(greetingCapabilities))); err != nil {
		return err
	}
	_, err := s.readResponse(ctx, client, local)
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		e = refused
	case err != nil:
		return err
	}
	return tell(client, e.Packet())
}

// leastVersion is that of the first server that nodes take.
const leastVersion = "10.11.0-MariaDB"

// greetingCapabilities are those of who has nothing to offer.
const greetingCapabilities = wire.CapProtocol41 | wire.CapSecureConnection | wire.CapPluginAuth

func tell(c *wire.Conn, p []byte) error {
	if err := c.WritePacket(p); err != nil {
		return err
	}
	return c.Flush()
}

// rejectAtOnce tells a client why it is not served without waiting for anything from it, as servers do that have no room.
func (s *Server) rejectAtOnce(client net.Conn, e *wire.Error) {
	_ = client.SetWriteDeadline(time.Now().Add(time.Second))
	_ = tell(wire.NewConn(client, s.cfg.MaxPacket), e.Packet()) // it is about to be closed
}
