package mysql

import (
	"errors"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A CREATE TEMPORARY TABLE ... SELECT that fails amid its rows makes InnoDB take back all that its transaction has written, while MariaDB goes on with that
// transaction, and has in its binary log what is not there any more: the other servers would get it. So the marker of a transaction becomes its first row
// before such a statement, or one that may execute such a statement, and is looked for at the end.

// marking is what is known of the marker of a transaction.
type marking uint8

const (
	notMarked   marking = iota
	markedFirst         // it is there, or what was written before is lost
	maybeMarked         // a savepoint may have taken it back
	markLost            // it was not there when it should have been
)

// mayLose reports whether a statement may lose something of its transaction: of itself, where it calls programs, or of what was written before, by a function
// maybe that was read from. Of functions and triggers that do so nobody asks, nor of a CALL that is a transaction of its own: to look for the marker behind it
// would take its warnings away.
func mayLose(what *statement.Statement) bool {
	return what.Calls || what.Kind == statement.Temporary && strings.HasPrefix(what.Verb, "CREATE")
}

// makesTemporary reports whether a text may make a temporary table.
func makesTemporary(text string, d statement.Dialect) bool {
	return statement.MentionsWord(text, d, "TEMPORARY")
}

// mayLose reports whether a program, or a CALL, may lose something of its transaction.
func (s *Server) mayLose(text string, d statement.Dialect) (bool, error) {
	if makesTemporary(text, d) || statement.ExecutesTexts(text, d) {
		return true, nil
	}
	known, err := s.readCallables(false)
	return err == nil && known.mayLose(statement.ReadNames(text, d)), err
}

// remark is the statement that makes the marker one of the rows, if it is not there.
func remark(xa *appliers.Transaction) string {
	return strings.Replace(xa.Mark(), "INSERT", "INSERT IGNORE", 1)
}

// noWarnings takes away the warning of remark that the marker is there.
const noWarnings = ";DO (SELECT COUNT(*) FROM nexus.rehearsal)"

// checkMarker fails if the marker is not there. It takes no right to read it.
func checkMarker(xa *appliers.Transaction) string {
	return remark(xa) + ";IF ROW_COUNT()>0 THEN RESIGNAL; END IF" + noWarnings
}

// codeNotThere is what the server answers RESIGNAL outside of a handler with. SIGNAL has a literal, which is none of an SQLSTATE in some character sets.
const codeNotThere = 1645

// markBefore is markEarly before a statement of the client. The marker would be what ROW_COUNT() tells of; a block asks that of its own statements.
func (s *session) markBefore(c *call) error {
	if s.tx.marking == notMarked && (c.what.Verb == "CALL" || c.what.Kind == statement.Temporary) && statement.AsksFor(c.text, s.dialect, "ROW_COUNT") {
		return refused("%s that asks for ROW_COUNT() is refused in a transaction: say SET @n=ROW_COUNT() before, and use @n", c.what.Verb)
	}
	return s.markEarly()
}

// markEarly is for the open transaction before what may lose it.
func (s *session) markEarly() error {
	if s.tx.marking == markedFirst || s.tx.marking == markLost {
		return nil
	}
	if err := s.ask(remark(s.tx.xa)); err != nil {
		return err
	}
	s.tx.marking, s.tx.wrote = markedFirst, true
	return nil
}

// savepoint executes SAVEPOINT, ROLLBACK TO and RELEASE.
func (s *session) savepoint(c call) (bool, error) {
	if err := s.implicit(); err != nil {
		return true, s.failWith(err)
	}
	tx := s.tx
	if tx != nil && tx.marking == markedFirst {
		var server *wire.Error
		switch err := s.ask(block(checkMarker(tx.xa))); {
		case errors.As(err, &server) && server.Code == codeNotThere:
			tx.marking = markLost
		case err != nil:
			return true, s.failWith(err)
		default:
			tx.marking = maybeMarked
		}
	}
	return s.direct(c)
}

// lostTransaction rolls back a transaction that is known to be lost.
func (s *session) lostTransaction() error {
	return errors.Join(errLost, s.rollback())
}

// errLost is for a transaction that cannot be committed because the server has lost it.
var errLost = &wire.Error{Code: codeCommitFailed, State: "HY000", Message: "Nexus: the transaction was rolled back: " +
	"a CREATE TEMPORARY TABLE ... SELECT has failed in it, and the server has lost what was written before"}

// lastMark is what stands before XA END.
func (t *transaction) lastMark() string {
	switch t.marking {
	case markedFirst:
		return checkMarker(t.xa)
	case maybeMarked:
		return remark(t.xa) + noWarnings
	}
	return t.xa.Mark()
}
