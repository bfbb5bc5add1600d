package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// notOffered are the capabilities that would put something between the commands and this node, or that it does not know.
const notOffered = wire.CapSSL | wire.CapCompress | wire.CapZstd | wire.CapQueryAttributes | wire.CapMultiFactor

// handshake passes the server's own login through, so that accounts, their passwords and the ways of proving them are
// those of the server. Only the capabilities are cut down.
func (s *session) handshake(ctx context.Context) error {
	conn, err := s.server.backend.Dial(ctx)
	if err != nil {
		return errors.Join(err, s.refuseLogin(unavailable(err)))
	}
	s.backend = wire.NewConn(conn, 1<<30)
	deadline, _ := ctx.Deadline()
	for _, c := range []*wire.Conn{s.client, s.backend} {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return errors.Join(err, s.refuseLogin(unavailable(errors.New("the server behind this node does not answer"))))
	}
	greeting, err := wire.ParseGreeting(p)
	if err != nil {
		return errors.Join(err, s.refuseLogin(wire.ParseError(p)))
	}
	s.id, s.status = uint64(greeting.ConnectionID), greeting.Status
	offered := greeting.Capabilities&^notOffered | wire.CapMultiStatements | wire.CapLongPassword
	s.client.Seq = 0
	if err := s.client.WritePacket(greeting.Packet(offered)); err != nil {
		return err
	}
	if err := s.client.Flush(); err != nil {
		return err
	}
	response, err := s.client.ReadPacket()
	if err != nil {
		return err
	}
	if len(response) < 32 {
		return s.refuseLogin(&wire.Error{Code: 1043, State: "08S01", Message: "Bad handshake"})
	}
	caps := binary.LittleEndian.Uint32(response) & offered
	if caps&wire.CapProtocol41 == 0 {
		return s.refuseLogin(&wire.Error{Code: 1043, State: "08S01", Message: "Bad handshake: Nexus speaks protocol 4.1 only"})
	}
	s.deprecateEOF = caps&wire.CapDeprecateEOF != 0
	s.multi = caps&wire.CapMultiStatements != 0
	// Texts are split here, so that each statement is classified by itself.
	binary.LittleEndian.PutUint32(response, caps&^wire.CapMultiStatements)
	clear(response[28:32]) // what only MariaDB has
	s.backend.Seq = s.client.Seq - 1
	if err := s.backend.WritePacket(response); err != nil {
		return err
	}
	if err := s.login(); err != nil {
		return err
	}
	for _, c := range []*wire.Conn{s.client, s.backend} {
		if err := c.SetDeadline(time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) refuseLogin(e *wire.Error) error {
	s.fail(e)
	return s.client.Flush()
}

// login passes the exchange on that proves who the client is, and makes the session READ ONLY before the client is told
// that it may begin.
func (s *session) login() error {
	for {
		if err := s.backend.Flush(); err != nil {
			return err
		}
		p, err := s.backend.ReadPacket()
		if err != nil {
			return err
		}
		s.client.Seq = s.backend.Seq - 1
		if len(p) == 0 {
			return errors.New("an empty packet of the server")
		}
		if p[0] == wire.HeaderOK {
			s.note(p)
			if err := s.welcome(append([]byte(nil), p...)); err != nil {
				return err
			}
			return s.client.Flush()
		}
		if err := s.client.WritePacket(p); err != nil {
			return err
		}
		if err := s.client.Flush(); err != nil {
			return err
		}
		if p[0] == wire.HeaderError {
			return wire.ParseError(p)
		}
		answer, err := s.client.ReadPacket()
		if err != nil {
			return err
		}
		s.backend.Seq = s.client.Seq - 1
		if err := s.backend.WritePacket(answer); err != nil {
			return err
		}
	}
}

// welcome sets the session up and passes the server's OK on.
func (s *session) welcome(ok []byte) error {
	seq := s.client.Seq
	err := s.ask(closeSession)
	if err == nil {
		err = s.readDialect()
	}
	s.client.Seq = seq
	if err != nil {
		return errors.Join(err, s.refuseLogin(unavailable(fmt.Errorf("set up the session: %w", err))))
	}
	return s.client.WritePacket(ok)
}

// readDialect asks for what the meaning of the client's texts depends on.
func (s *session) readDialect() error {
	row, err := s.row("SELECT FIND_IN_SET('NO_BACKSLASH_ESCAPES',@@sql_mode)<>0, FIND_IN_SET('ANSI_QUOTES',@@sql_mode)<>0")
	if err != nil {
		return err
	}
	s.dialect.NoBackslashEscapes, s.dialect.AnsiQuotes = row[0] == "1", row[1] == "1"
	return nil
}

// reset is COM_RESET_CONNECTION and COM_CHANGE_USER: a new session on the same connection.
func (s *session) reset(payload []byte) error {
	payload = append([]byte(nil), payload...)
	if err := s.rollback(); err != nil {
		return s.failWith(err)
	}
	clear(s.statements)
	clear(s.named)
	s.access, s.nextAccess = 0, 0
	seq := s.client.Seq
	if err := s.backend.Command(payload); err != nil {
		return s.lost(err)
	}
	s.client.Seq = seq
	return s.login()
}

func (s *session) setOption(payload []byte) error {
	if len(payload) < 3 || payload[1] > 1 {
		s.fail(&wire.Error{Code: codeUnknownCommand, State: "08S01", Message: "Unknown command"})
		return nil
	}
	s.multi = payload[1] == 0 // MYSQL_OPTION_MULTI_STATEMENTS_ON
	if s.deprecateEOF {
		return s.ok(false)
	}
	return s.client.WritePacket([]byte{wire.HeaderEOF, 0, 0, byte(s.status), byte(s.status >> 8)})
}
