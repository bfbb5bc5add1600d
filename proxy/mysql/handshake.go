package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// maxLoginPacket bounds what somebody may send who has not proved yet who he is.
const maxLoginPacket = 1 << 16

// notOffered are the capabilities that would put something between the commands and this node, or that it does not know.
const notOffered = wire.CapSSL | wire.CapZstd | wire.CapQueryAttributes | wire.CapMultiFactor

// handshake passes the server's own login through, so that accounts, their passwords and the ways of proving them are
// those of the server. Only the capabilities are cut down.
func (s *session) handshake(ctx context.Context, local bool) error {
	conn, err := s.server.backend.Dial(ctx)
	if err != nil {
		return errors.Join(err, s.server.turnAway(ctx, s.client, local, unserved("the server behind this node cannot be reached"+elsewhere)))
	}
	s.backend = wire.NewConn(conn, 1<<30)
	s.client.Limit = maxLoginPacket
	defer func() { s.client.Limit = s.server.cfg.MaxPacket }()
	deadline, _ := ctx.Deadline()
	for _, c := range []*wire.Conn{s.client, s.backend} {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return errors.Join(err, s.server.turnAway(ctx, s.client, local, unserved("the server behind this node does not answer"+elsewhere)))
	}
	greeting, err := wire.ParseGreeting(p)
	if err != nil {
		return errors.Join(err, s.server.turnAway(ctx, s.client, local, wire.ParseError(p)))
	}
	s.id, s.status = uint64(greeting.ConnectionID), greeting.Status
	offered := s.server.offeredTo(greeting.Capabilities&^notOffered | wire.CapMultiStatements)
	extended := greeting.Extended & wire.CapExtendedMetadata
	s.client.Seq = 0
	if err := s.client.WritePacket(greeting.Packet(offered, extended)); err != nil {
		return err
	}
	if err := s.client.Flush(); err != nil {
		return err
	}
	response, err := s.server.readResponse(ctx, s.client, local)
	var e *wire.Error
	if errors.As(err, &e) {
		return errors.Join(e, s.refuseLogin(e))
	}
	if err != nil {
		return err
	}
	said := binary.LittleEndian.Uint32(response)
	caps := said & (offered | wire.CapLongPassword)
	if caps&wire.CapProtocol41 == 0 {
		return s.refuseLogin(badHandshake("Nexus speaks protocol 4.1 only"))
	}
	s.deprecateEOF = caps&wire.CapDeprecateEOF != 0
	s.multi = caps&wire.CapMultiStatements != 0
	s.results = caps&wire.CapMultiResults != 0
	// Texts are split here, so that each statement is classified by itself.
	binary.LittleEndian.PutUint32(response, caps&^(wire.CapMultiStatements|wire.CapSSL|wire.CapCompress))
	if said&wire.CapLongPassword != 0 {
		extended = 0 // a client that knows nothing of MariaDB
	}
	extended &= binary.LittleEndian.Uint32(response[28:])
	binary.LittleEndian.PutUint32(response[28:], extended)
	s.extended = extended&wire.CapExtendedMetadata != 0
	if err := s.secureBackend(ctx, greeting, response); err != nil {
		return errors.Join(err, s.refuseLogin(unserved("there is no TLS between this node and its server"+elsewhere)))
	}
	if err := s.login(response); err != nil {
		if wasTold(err) {
			return err
		}
		return errors.Join(err, s.refuseLogin(unserved("the server behind this node was lost during the login"+elsewhere)))
	}
	if caps&wire.CapCompress != 0 { // between the client and this node: the server is on the same machine
		s.client.Compress()
	}
	for _, c := range []*wire.Conn{s.client, s.backend} {
		if err := c.SetDeadline(time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere is what a client can do that is not served here.
const elsewhere = "; connect to another node, or try again"

// wasTold reports whether what ended a login is what the client was told.
func wasTold(err error) bool {
	var e *wire.Error
	return errors.As(err, &e)
}

func (s *session) refuseLogin(e *wire.Error) error {
	s.fail(e)
	return s.client.Flush()
}

// login passes the exchange on that proves who the client is, and makes the session READ ONLY before the client is told
// that it may begin.
func (s *session) login(response []byte) error {
	return passLogin(s.client, s.backend, response, func(p []byte) error {
		if p[0] == wire.HeaderOK {
			s.note(p)
			if err := s.welcome(p); err != nil {
				return err
			}
			return s.client.Flush()
		}
		if err := s.client.WritePacket(p); err != nil {
			return err
		}
		return s.client.Flush()
	})
}

// passLogin sends response to the server, and passes packets on until it has accepted or refused the client, which tell
// tells. Both ends count packets by themselves: one may have asked for TLS.
func passLogin(client, server *wire.Conn, response []byte, tell func([]byte) error) error {
	for {
		if response != nil {
			if err := server.WritePacket(response); err != nil {
				return err
			}
		}
		if err := server.Flush(); err != nil {
			return err
		}
		p, err := server.ReadPacket()
		if err != nil {
			return err
		}
		if len(p) == 0 {
			return errors.New("an empty packet of the server")
		}
		p = bytes.Clone(p) // to tell it may take the server's next packets
		if err := tell(p); err != nil {
			return err
		}
		switch {
		case p[0] == wire.HeaderOK:
			return nil
		case p[0] == wire.HeaderError:
			return wire.ParseError(p)
		case bytes.Equal(p, fastAuthDone):
			response = nil // the server goes on by itself
			continue
		}
		if response, err = client.ReadPacket(); err != nil {
			return err
		}
	}
}

// fastAuthDone is what caching_sha2_password says before its OK where it knows the client already.
var fastAuthDone = []byte{1, 3}

// welcome sets the session up and passes the server's OK on.
func (s *session) welcome(ok []byte) error {
	err := s.ask(closeSession)
	if err == nil {
		err = s.readDialect()
	}
	if err != nil {
		e := unserved("the server behind this node ended the connection" + elsewhere)
		errors.As(err, &e) // in words of its own
		return errors.Join(err, e, s.refuseLogin(e))
	}
	return s.client.WritePacket(ok)
}

// dialectColumns are what the meaning of the client's texts depends on.
var dialectColumns = "FIND_IN_SET('NO_BACKSLASH_ESCAPES',@@sql_mode)<>0, FIND_IN_SET('ANSI_QUOTES',@@sql_mode)<>0, FIND_IN_SET('ORACLE',@@sql_mode)<>0, IFNULL(DATABASE()='mysql',0)," +
	" @@character_set_client IN ('" + strings.Join(statement.UnreadableCharsets, "','") + "')"

// readDialect asks how the client's texts are read.
func (s *session) readDialect() error {
	row, err := s.row("SELECT " + dialectColumns)
	if err != nil {
		return err
	}
	if len(row) != 5 {
		return unavailable(errors.New("the server does not tell the settings of the session"))
	}
	if row[4] != "0" {
		return refused("clients cannot speak the character set of this session to Nexus: use utf8mb4")
	}
	s.dialect.NoBackslashEscapes, s.dialect.AnsiQuotes, s.dialect.Oracle, s.system = row[0] == "1", row[1] == "1", row[2] == "1", row[3] == "1"
	return nil
}

// reset is COM_RESET_CONNECTION and COM_CHANGE_USER: a new session on the same connection.
func (s *session) reset(payload []byte) error {
	payload = append([]byte(nil), payload...)
	if err := s.rollback(); err != nil {
		return s.failWith(err)
	}
	if err := s.unlock(true); err != nil {
		return s.failWith(err)
	}
	clear(s.statements)
	clear(s.named)
	s.often, s.begun = nil, 0
	s.forgetNames()
	s.ownTemporary = 0
	s.access, s.nextAccess = 0, 0
	s.backend.Seq = 0
	err := s.login(payload)
	var refusal *wire.Error
	if !errors.As(err, &refusal) {
		return err
	}
	// The server goes on with who was logged in before, and a session that has begun anew.
	if err := s.shut(); err != nil {
		return err
	}
	if err := s.readDialect(); err != nil {
		return s.lost(err)
	}
	return nil
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
