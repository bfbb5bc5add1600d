package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// transaction is the open one of a session.
type transaction struct {
	xa    *appliers.Transaction // nil where it is read-only
	wrote bool                  // a statement that is no plain read was executed
	marking
}

// expect announces to the others that the session's transaction is about to be proposed.
func (s *session) expect() {
	s.expected = true
	s.announced = s.server.commits.expect()
}

// forgo takes that back, if it is not proposed.
func (s *session) forgo() {
	if s.expected {
		s.expected = false
		s.server.commits.forgo(s.announced)
	}
}

func (s *session) propose(ctx context.Context, commands [][]byte) ([]raft.Reply, error) {
	if !s.expected {
		s.expect()
	}
	s.expected = false
	return s.server.commits.commit(ctx, s.announced, commands)
}

// begin is BEGIN and START TRANSACTION, which commit what is open.
func (s *session) begin(what statement.Statement) error {
	if s.locked != readLockOfAll {
		if err := s.unlock(true); err != nil {
			return err
		}
	}
	if err := s.commit(); err != nil {
		return err
	}
	return s.start(what)
}

// start begins a transaction. It sees everything that was acknowledged before.
func (s *session) start(what statement.Statement) error {
	access := what.Access
	for _, other := range []statement.Access{s.nextAccess, s.access} {
		if access == statement.AccessDefault {
			access = other
		}
	}
	s.nextAccess = statement.AccessDefault
	if err := s.proveOffice(); err != nil {
		return err
	}
	if access == statement.ReadOnly || s.reader {
		return s.startReading(what)
	}
	xa, err := s.startXA()
	if err != nil {
		return err
	}
	s.tx = &transaction{xa: xa}
	if what.Snapshot {
		// XA has no such clause, but any consistent read fixes the snapshot.
		if _, err := s.row("SELECT COUNT(*) FROM nexus.address"); err != nil {
			return errors.Join(err, s.rollback())
		}
	}
	return nil
}

func (s *session) startReading(what statement.Statement) error {
	if err := s.enterGate(); err != nil {
		return err
	}
	text := "START TRANSACTION READ ONLY"
	if what.Snapshot {
		text = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
	}
	if err := s.ask(text); err != nil {
		s.leaveGate()
		return err
	}
	s.tx = &transaction{}
	return nil
}

// beginXA opens the gate and registers a transaction.
func (s *session) beginXA() (*appliers.Transaction, error) {
	if err := s.enterGate(); err != nil {
		return nil, err
	}
	xa, err := s.register()
	if err != nil {
		s.leaveGate()
		return nil, commitError(err)
	}
	return xa, nil
}

// openFor lets the transaction write that a statement begins, and nothing else. It is one statement with what it opens for: of two, KILL or
// max_statement_time may leave the first without the second, and what was sent behind them would find the session open.
const openFor = "SET STATEMENT tx_read_only=0 FOR "

// startXA begins a transaction. The server is told with the first statement that is executed in it.
func (s *session) startXA() (*appliers.Transaction, error) {
	xa, err := s.beginXA()
	if err != nil {
		return nil, err
	}
	if err := s.backend.CommandAhead(s.startOf(xa), s.started); err != nil {
		xa.End(true)
		s.leaveGate()
		return nil, fmt.Errorf("start a transaction: %w: %w", err, errHangUp)
	}
	return xa, nil
}

// started takes the answer to XA START. What was sent with it was refused by the closed session, should that have failed.
func (s *session) started(p []byte) error {
	if err := s.answerIn(p); err != nil {
		return fmt.Errorf("start a transaction: %s: %w", err.Error(), errHangUp)
	}
	return nil
}

// finish is COMMIT and ROLLBACK with what may follow the word.
func (s *session) finish(what statement.Statement, end func() error) error {
	chained := statement.Statement{}
	if s.tx != nil && s.tx.xa == nil {
		chained.Access = statement.ReadOnly
	}
	if err := end(); err != nil {
		return err
	}
	if what.Chain {
		return s.start(chained)
	}
	return nil
}

// commit commits the open transaction, if there is one.
func (s *session) commit() error {
	tx := s.tx
	switch {
	case tx == nil:
		return nil
	case tx.xa == nil:
		err := s.ask("COMMIT")
		s.over()
		return err
	case !tx.wrote && s.server.backend.Sequences(s.epoch) == nil:
		return s.commitRead(tx.xa)
	}
	return s.commitWritten(tx.xa)
}

// closeSession keeps what is no transaction of Nexus's from writing.
const closeSession = "SET SESSION TRANSACTION READ ONLY"

// shut executes closeSession behind other statements. A session that KILL has left open does not go on.
func (s *session) shut(before ...string) error {
	if err := s.ask(append(before, closeSession)...); err != nil {
		return fmt.Errorf("%w: close the session: %s", errHangUp, err.Error())
	}
	return nil
}

// over forgets the transaction after it has ended on the server.
func (s *session) over() {
	s.tx = nil
	s.leaveGate()
}

// commitRead ends a transaction of which every statement looked like a read. Whether one of them wrote after all, through
// a function, shows the binary log.
func (s *session) commitRead(xa *appliers.Transaction) error {
	const position = "SELECT @@last_gtid"
	if err := xa.Prepare(); err != nil {
		return s.fenced(err)
	}
	for _, text := range []string{position, "XA END " + xa.XID(), "XA PREPARE " + xa.XID(), position} {
		if err := s.backend.Query(text); err != nil {
			return err
		}
	}
	if err := s.backend.Flush(); err != nil {
		return err
	}
	before, err := s.readRow()
	if err != nil {
		return s.lost(err) // the other answers would be taken for those to what comes next
	}
	ended, prepared := s.answer(), s.answer()
	after, err := s.readRow()
	if err != nil {
		return s.lost(err)
	}
	if ended != nil || prepared != nil {
		return errors.Join(ended, prepared, s.rollbackXA(xa))
	}
	if err := s.rollbackXA(xa); err != nil {
		return err
	}
	if len(before) == 1 && len(after) == 1 && before[0] == after[0] {
		return nil
	}
	s.server.stats.rollbacks.Add(1)
	s.often = nil // what the binary log has of it bears no marker, and might be taken for the next one's of that name
	return &wire.Error{Code: codeCommitFailed, State: "HY000", Message: "Nexus: the transaction was rolled back: a function or view that was read from wrote, " +
		"and no statement said so; call it with CALL, DO or in an INSERT"}
}

// commitWritten replicates the open transaction and commits it. Its marker comes last: most transactions read first.
func (s *session) commitWritten(xa *appliers.Transaction) error {
	if s.tx.marking == markLost {
		return s.lostTransaction()
	}
	if err := s.commitEnding(xa, s.markedEndOf(xa, s.tx)); err != nil {
		return err
	}
	return s.nameOften(xa)
}

// commitEnding replicates the open transaction and commits it, after these commands.
func (s *session) commitEnding(xa *appliers.Transaction, last [][]byte) error {
	if err := xa.Prepare(); err != nil {
		return s.fenced(err)
	}
	s.expect()
	defer s.forgo()
	if err := s.askCommands(last); err != nil {
		return s.notPrepared(xa, err)
	}
	return s.commitPrepared(xa)
}

// block makes one statement of several, which costs one answer and ends with the first that fails.
func block(texts ...string) string {
	return "BEGIN NOT ATOMIC " + strings.Join(texts, ";") + ";END"
}

// notPrepared rolls back a transaction that could not be prepared.
func (s *session) notPrepared(xa *appliers.Transaction, err error) error {
	var server *wire.Error
	if !errors.As(err, &server) {
		return err // the applier rolls it back
	}
	if server.Code == codeNotThere {
		server = errLost
	}
	s.server.stats.rollbacks.Add(1)
	return errors.Join(server, s.rollbackEnded(xa))
}

// commitPrepared replicates a prepared transaction and commits it.
func (s *session) commitPrepared(xa *appliers.Transaction) error {
	ctx, cancel := s.context(s.server.cfg.Timeout)
	defer cancel()
	failpoint.Hit("mysql.prepared")
	command, err := xa.Captured(ctx)
	if err != nil {
		s.server.stats.rollbacks.Add(1)
		return errors.Join(captureError(err), s.rollbackXA(xa))
	}
	failpoint.Hit("mysql.captured")
	ctx, cancel = s.context(s.server.cfg.Timeout + raft.Allowance(len(command)))
	defer cancel()
	replies, err := s.propose(ctx, append(s.server.backend.Sequences(s.epoch), command))
	if err != nil {
		return s.notProposed(xa, err)
	}
	verdict, err := appliers.DecodeReply(replies[len(replies)-1].Data)
	switch {
	case err != nil:
		// Applied, but the reply was lost: nothing else does that to an entry of this epoch.
		s.server.stats.unknown.Add(1)
		s.leaveToApplier()
		return s.final(&wire.Error{Code: codeUnknown, State: "HY000", Message: OutcomeUnknown + ": the answer was lost"})
	case verdict == appliers.Fenced:
		return s.fenced(appliers.ErrFenced)
	}
	failpoint.Hit("mysql.before-answer")
	s.server.stats.commits.Add(1)
	s.status &^= wire.StatusInTransaction
	s.over()
	return nil
}

// fenced ends the session: the applier has rolled the transaction back, or is about to.
func (s *session) fenced(err error) error {
	s.server.stats.rollbacks.Add(1)
	s.tx.xa.End(false)
	s.leaveToApplier()
	return s.final(commitError(err))
}

// notProposed settles a transaction whose proposal brought no verdict.
func (s *session) notProposed(xa *appliers.Transaction, err error) error {
	e := commitError(err)
	if e.Code == codeUnknown {
		// It may still be committed, or never: it stays prepared until the log has decided.
		s.server.stats.unknown.Add(1)
		s.leaveToApplier()
		return s.final(e)
	}
	s.server.stats.rollbacks.Add(1)
	return errors.Join(e, s.rollbackXA(xa))
}

// leaveToApplier forgets a transaction that only the applier may end. Its connection must not be used any more.
func (s *session) leaveToApplier() {
	s.tx = nil
	s.leaveGate()
}

// final is an error after which the session is over.
func (s *session) final(e *wire.Error) error { return &finalError{e} }

// finalError is told to the client, which is then disconnected.
type finalError struct{ told *wire.Error }

func (e *finalError) Error() string { return e.told.Error() }

// rollback rolls the open transaction back, if there is one.
func (s *session) rollback() error {
	tx := s.tx
	switch {
	case tx == nil:
		return nil
	case tx.xa == nil:
		err := s.ask("ROLLBACK")
		s.over()
		return err
	}
	s.server.stats.rollbacks.Add(1)
	// XA END fails where the server has rolled back already.
	var server *wire.Error
	if err := s.ask("XA END " + tx.xa.XID()); err != nil && !errors.As(err, &server) {
		return err
	}
	return s.rollbackXA(tx.xa)
}

// rollbackEnded rolls back a transaction of which XA END may have been said.
func (s *session) rollbackEnded(xa *appliers.Transaction) error {
	var server *wire.Error
	if err := s.ask("XA END " + xa.XID()); err != nil && !errors.As(err, &server) {
		return err
	}
	return s.rollbackXA(xa)
}

// rollbackXA rolls back a transaction that has ended or is prepared.
func (s *session) rollbackXA(xa *appliers.Transaction) error {
	if s.steered.Load() != nil { // the server is executing a program, and nothing else can be said to it
		xa.End(false)
		s.leaveToApplier()
		return errHangUp
	}
	if err := s.shut("XA ROLLBACK " + xa.XID()); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	xa.End(true)
	s.status &^= wire.StatusInTransaction
	s.over()
	return nil
}

// abandon is the end of a session in the middle of a transaction.
func (s *session) abandon() {
	if s.tx == nil {
		return
	}
	if s.tx.xa != nil {
		s.tx.xa.End(false)
	}
	s.over()
}

// SendCommit says XA COMMIT, and Committed reads the answer. Both are called by the applier while the session waits for it.
func (s *session) SendCommit(xid string) error {
	if run := s.steered.Load(); run != nil {
		return run.sendCommit()
	}
	if err := s.backend.Command(s.commitOf(xid)); err != nil {
		return err
	}
	return s.backend.Flush()
}

// Committed reads the answer to XA COMMIT.
func (s *session) Committed() error {
	if run := s.steered.Load(); run != nil {
		return run.committed()
	}
	return s.answer()
}
