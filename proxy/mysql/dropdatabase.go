package mysql

import (
	"regexp"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// The session whose default database it drops has none afterwards. The database is dropped by the node's own session, though, and
// no statement lets go of a default database. The end of a prepared statement does: it goes back from the database that it was
// prepared in to the one before, or to none where that is not there any more.

// elsewhereDatabase is there for everybody.
const elsewhereDatabase = "information_schema"

// plainDatabase is a name that is written alike in all character sets that clients can speak, and are told results in.
var plainDatabase = regexp.MustCompile(`^[A-Za-z0-9_$ .-]+$`)

// leavesDatabase prepares the session for the loss of its default database, where what is executed next may drop that. left
// is to be called behind it: dropped says whether the session has none then.
func (s *session) leavesDatabase(what *statement.Statement, current string) (left func() (dropped bool, err error), err error) {
	stays := func() (bool, error) { return false, nil }
	if what.Verb != "DROP DATABASE" && what.Verb != "DROP SCHEMA" || !strings.EqualFold(what.Name, current) || !plainDatabase.MatchString(current) {
		return stays, nil
	}
	if err := s.ask("USE " + elsewhereDatabase); err != nil {
		return nil, err
	}
	id, err := s.prepareOnce("DO 0")
	if err != nil {
		return nil, s.lost(err)
	}
	if err := s.ask("USE " + quoteName(current)); err != nil {
		return nil, s.lost(err) // it had no right to be there
	}
	return func() (bool, error) { return s.goBack(id) }, nil
}

// goBack executes the statement with the id, which was prepared in another database, and forgets it.
func (s *session) goBack(id []byte) (dropped bool, err error) {
	execute := append(append([]byte{wire.ComStmtExecute}, id...), 0, 1, 0, 0, 0)
	if err := s.send(execute); err != nil {
		return false, s.lost(err)
	}
	if err := s.answer(); err != nil {
		return false, s.lost(err)
	}
	if err := s.send(append([]byte{wire.ComStmtClose}, id...)); err != nil { // there is no response
		return false, s.lost(err)
	}
	row, err := s.row("SELECT DATABASE() IS NULL")
	if err != nil {
		return false, err
	}
	if row[0] != "1" {
		return false, nil
	}
	s.forgetNames()
	if s.facts.warnings == nil { // the server has noted that there is nothing to go back to
		s.facts.warnings = []appliers.Warning{}
	}
	return true, nil
}
