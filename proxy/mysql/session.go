package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/proxy/rate"
	"github.com/nexus-replication/nexus/raft"
)

// session is a client and its connection to the local server. All but Disconnect, SendCommit and Committed belong to one
// goroutine; the applier calls the last two while that one waits for the outcome of a proposal.
type session struct {
	server  *Server
	client  *wire.Conn
	backend *wire.Conn
	id      uint64 // of the connection to the server
	epoch   uint64
	local   bool // of this node itself, as its own account
	reader  bool // nothing may be written, nor locked

	deprecateEOF bool
	extended     bool   // columns tell more about their types
	multi        bool   // several statements in one text
	results      bool   // the client takes several results of one statement
	system       bool   // the default database is mysql
	status       uint16 // as the server told last
	dialect      statement.Dialect
	access       statement.Access // of the session's transactions
	nextAccess   statement.Access // of the next one only
	statements   map[uint32]*prepared
	named        map[string]*prepared

	rate *rate.Limit // nil without one

	facts        facts
	affected     uint64                     // rows, by the statement that is answered with OK
	info         string                     // what the server has said about them
	plain        map[[2]string]uint64       // procedures that the server executes by itself, as named; as of how many schema changes
	tables       map[[2]string]uint64       // that are no sequences, as named; as of how many schema changes
	steered      atomic.Pointer[programRun] // that the server is executing; the applier asks for it
	dropped      bool                       // the statement that is answered with OK has dropped a database
	excluding    bool                       // schema changes are behind the barrier that this session holds
	locked       tableLock
	lockedTables []string    // as they were named
	lockedIn     string      // the default database at that time
	ownTemporary uint64      // temporary tables that this node has made in procedures
	left         []string    // tables that a statement has made under another name, and that have got no other one yet
	flushed      bool        // a cache of the server, or what it has counted of the session
	checks       [][4]string // of the maintenance of tables that is being answered

	rowNumber, rowNull bool   // what the first value of the row that was read last is
	valueRead          string // of the expression that was evaluated last

	tx        *transaction // nil outside of one
	often     *often       // nil in a session that has had few transactions
	begun     int          // transactions that were counted to that end
	expected  bool         // by the other sessions, to commit
	announced announcement // to them

	interrupt atomic.Pointer[context.CancelCauseFunc] // of what the session waits for in this node; nil where it does not

	idle           atomic.Bool  // waits for a command
	executing      atomic.Bool  // the server executes a statement of the client's
	lockEnds       atomic.Int64 // when the tables are unlocked that keep others from writing, in nanoseconds; 0: none are
	disconnectOnce sync.Once
}

func newSession(s *Server, c *connection, epoch uint64) *session {
	perSecond := s.cfg.MaxClientRate
	if c.local { // operators
		perSecond = 0
	}
	return &session{
		rate: rate.New(perSecond), server: s, client: wire.NewConn(c.client, s.cfg.MaxPacket), epoch: epoch, local: c.local, reader: c.reader, dialect: s.dialect(),
		statements: make(map[uint32]*prepared), named: make(map[string]*prepared), plain: make(map[[2]string]uint64), tables: make(map[[2]string]uint64),
	}
}

// ConnectionID is how the server calls the connection.
func (s *session) ConnectionID() uint64 { return s.id }

// IsOfNode reports whether the session is this node's own.
func (s *session) IsOfNode() bool { return s.local }

// Disconnect closes both connections.
func (s *session) Disconnect() {
	s.disconnectOnce.Do(func() {
		s.client.Close()
		if s.backend != nil {
			s.backend.Close()
		}
	})
}

// orphaned reports whether the server has closed the connection of a session that waits for a command, as after its
// wait_timeout or by KILL.
func (s *session) orphaned() bool {
	return s.idle.Load() && s.backend.Closed() && s.idle.Load()
}

// end is the end of the session, whatever led to it. The server rolls back what is open.
func (s *session) end() {
	s.Disconnect()
	s.abandon()
	s.letIn()
	s.leaveTables()
}

// run takes commands until the client leaves.
func (s *session) run() error {
	for {
		if err := s.watchLock(); err != nil {
			return err
		}
		s.idle.Store(true)
		payload, err := s.client.ReadPacket()
		s.idle.Store(false)
		if s.locked.excludes() && err == nil {
			err = s.client.SetReadDeadline(time.Time{})
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if e := s.lockExpired(); e != nil && err != nil {
			return errors.Join(s.hangUp(e), s.client.Flush())
		}
		if errors.Is(err, wire.ErrTooLong) {
			s.fail(&wire.Error{Code: 1153, State: "08S01", Message: "Got a packet bigger than 'max_allowed_packet' bytes"})
			return errors.Join(err, s.client.Flush())
		}
		if err != nil {
			return err
		}
		if len(payload) == 0 {
			return errors.New("a command without a byte")
		}
		if payload[0] == wire.ComQuit {
			_ = s.send(payload) // else the server counts the client as one that was aborted, and warns of it in its log
			return nil
		}
		if err := s.slowDown(); err != nil {
			return err
		}
		s.client.Hold = false
		s.client.BeforeFlush = nil
		err = s.command(payload)
		s.leaveTables()
		if e := s.lockExpired(); e != nil && err == nil {
			err = s.hangUp(e)
		}
		if err == nil || errors.Is(err, errHangUp) {
			err = errors.Join(err, s.client.Flush())
		}
		if err != nil {
			return err
		}
	}
}

// slowDown waits until the client may have another statement executed. It has been answered what it asked before.
func (s *session) slowDown() error {
	if s.rate == nil {
		return nil
	}
	wait := s.rate.Take(time.Now())
	if wait == 0 {
		return nil
	}
	s.server.stats.slowed.Add(1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.server.ctx.Done():
		return s.server.ctx.Err()
	}
}

// command answers one command. An error ends the session.
func (s *session) command(payload []byte) error {
	switch payload[0] {
	case wire.ComQuery:
		return s.query(string(payload[1:]))
	case wire.ComStmtPrepare:
		return s.prepare(payload)
	case wire.ComStmtExecute:
		return s.execute(payload)
	case wire.ComStmtSendLongData:
		return s.sendLongData(payload)
	case wire.ComStmtClose:
		return s.closeStatement(payload)
	case wire.ComInitDB:
		return s.initDatabase(payload)
	case wire.ComPing, wire.ComStatistics:
		return s.pass(payload, s.relayOne)
	case wire.ComStmtReset:
		return s.passTo(payload, "mysqld_stmt_reset", s.relayOne)
	case wire.ComProcessKill:
		return s.processKill(payload)
	case wire.ComStmtFetch:
		return s.passTo(payload, "mysqld_stmt_fetch", s.relayRows)
	case wire.ComRefresh:
		return s.refresh(payload)
	case wire.ComFieldList:
		return s.pass(payload, s.relayFields)
	case wire.ComSetOption:
		return s.setOption(payload)
	case wire.ComResetConnection, wire.ComChangeUser:
		return s.reset(payload)
	}
	s.fail(&wire.Error{Code: codeUnknownCommand, State: "08S01", Message: "Unknown command"})
	return nil
}

// processKill is KILL as a command.
func (s *session) processKill(payload []byte) error {
	if len(payload) < 5 {
		return errors.New("COM_PROCESS_KILL ends early")
	}
	target := uint64(binary.LittleEndian.Uint32(payload[1:]))
	if err := s.send(payload); err != nil {
		return s.lost(err)
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return s.lost(err)
	}
	if len(p) > 0 && p[0] == wire.HeaderOK && target != s.id {
		s.server.interrupt(target)
		s.server.hangUp(target)
	}
	return s.client.WritePacket(p)
}

// send sends a command to the server.
func (s *session) send(payload []byte) error {
	if err := s.backend.Command(payload); err != nil {
		return fmt.Errorf("to the server: %w", err)
	}
	if err := s.backend.Flush(); err != nil {
		return fmt.Errorf("to the server: %w", err)
	}
	return nil
}

// pass sends a command to the server and its response back.
func (s *session) pass(payload []byte, relay func() error) error {
	if err := s.send(payload); err != nil {
		return s.lost(err)
	}
	return relay()
}

// ok answers that something was done, with the session's status and without what belongs to a single result.
func (s *session) ok(more bool) error {
	status := s.status &^ wire.StatusOfStatement
	if s.tx != nil {
		status |= wire.StatusInTransaction
	} else {
		status &^= wire.StatusInTransaction | wire.StatusReadOnly
	}
	if more {
		status |= wire.StatusMoreResults
	}
	if s.dropped {
		status |= wire.StatusDropped
	}
	rows, info := s.affected, s.info
	s.affected, s.info, s.dropped = 0, "", false
	return s.client.WritePacket(wire.OKRows(status, rows, len(s.facts.warnings), info))
}

// fail answers with an error.
func (s *session) fail(e *wire.Error) {
	// An error of writing shows when the answer is flushed, or with the next packet.
	_ = s.client.WritePacket(e.Packet())
}

// failWith answers with what err says, and ends the session where its connection to the server is of no use any more.
func (s *session) failWith(err error) error {
	var final *finalError
	if errors.As(err, &final) {
		return s.hangUp(final.told)
	}
	var e *wire.Error
	switch {
	case errors.Is(err, errHangUp):
		if errors.As(err, &e) {
			return s.hangUp(e)
		}
		return s.lost(err)
	case errors.As(err, &e):
		s.fail(e)
		return nil
	}
	return s.lost(err)
}

// lost ends the session, because its connection to the server is of no use any more. The client sees its own end: codes that
// mean this are made up by clients, and some take them amiss from a server.
func (s *session) lost(err error) error {
	return fmt.Errorf("%w: %w", errHangUp, err)
}

// hangUp answers with e and ends the session.
func (s *session) hangUp(e *wire.Error) error {
	s.fail(e)
	return fmt.Errorf("%w: %w", errHangUp, e)
}

// context returns one for waiting for the cluster.
func (s *session) context(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(s.server.ctx, timeout, &raft.NoAnswerError{After: timeout})
}
