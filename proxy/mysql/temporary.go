package mysql

import (
	"errors"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// Temporary tables are of one session, and hide others of the same name: what drops, empties or alters one says so in no
// word. They are never replicated.

// openSession is for what the server refuses in a READ ONLY session though it concerns temporary tables alone.
const openSession = "SET SESSION TRANSACTION READ WRITE"

// changeTemporary executes DROP TABLE, TRUNCATE and ALTER TABLE of temporary tables. done is false for what concerns others.
func (s *session) changeTemporary(c call) (done, failed bool, err error) {
	if len(c.what.Tables) == 0 {
		return false, false, nil
	}
	var temporary, others []string
	for _, table := range c.what.Tables {
		is, err := s.isTemporary(table)
		if err != nil {
			return true, true, s.lost(err)
		}
		if is {
			temporary = append(temporary, table)
		} else {
			others = append(others, table)
		}
	}
	switch {
	case len(temporary) == 0:
		return false, false, nil
	case s.access == statement.ReadOnly && s.locked == noLock:
		failed, err = s.answer1(c, errors.Join(s.commit(), s.refuseReadOnly()))
	case len(others) > 0 && c.what.Behind > 0:
		failed, err = s.answer1(c, s.dropBoth(c, temporary, others))
	case len(others) > 0:
		s.fail(refused("%s is refused: some of the tables are temporary and some are not; name them apart", c.what.Verb))
		return true, true, nil
	case c.what.Behind > 0 && s.tx != nil && s.tx.xa == nil: // of LOCK TABLES, maybe, which goes on
		failed, err = s.write(s.textCall(c.text[:c.what.Behind]+"TEMPORARY "+c.text[c.what.Behind:], c.more))
	case c.what.Behind > 0:
		c.text = c.text[:c.what.Behind] + "TEMPORARY " + c.text[c.what.Behind:] // no other one, whatever becomes of the first between the question and this
		failed, err = s.alterTemporary(c)
	default:
		failed, err = s.alterTemporary(c)
	}
	return true, failed, err
}

// dropBoth drops temporary tables and others, which the server does with one statement, after the transaction that is open. One
// that is not there keeps the others from nothing.
func (s *session) dropBoth(c call, temporary, others []string) error {
	verb := c.text[:c.what.Behind] + "TABLE "
	if c.what.IfExists {
		verb += "IF EXISTS "
	}
	err := s.schemaChange(s.textCall(verb+strings.Join(others, ", "), c.more))
	var server *wire.Error
	if err != nil && (!errors.As(err, &server) || server.Code != codeUnknownTable) {
		return err
	}
	dropped := s.ask(openSession, "DROP TEMPORARY TABLE "+strings.Join(temporary, ", "))
	return errors.Join(err, dropped, s.shut())
}

// codeUnknownTable is for who drops a table that is not there.
const codeUnknownTable = 1051

// anyTemporary reports whether the session has a temporary table of one of these names.
func (s *session) anyTemporary(tables []string) (bool, error) {
	for _, table := range tables {
		if is, err := s.isTemporary(table); is || err != nil {
			return is, err
		}
	}
	return false, nil
}

func (s *session) isTemporary(table string) (bool, error) {
	row, err := s.row("SHOW CREATE TABLE " + table)
	var server *wire.Error
	if errors.As(err, &server) {
		return false, nil // there is none
	}
	if err != nil {
		return false, err
	}
	return len(row) > 1 && strings.HasPrefix(row[1], "CREATE TEMPORARY TABLE "), nil
}

// alterTemporary executes a statement about one temporary table, which commits what is open, as the server would.
func (s *session) alterTemporary(c call) (failed bool, err error) {
	if err := s.commit(); err != nil {
		return true, s.failWith(err)
	}
	if err := s.ask(openSession); err != nil {
		return true, s.lost(err)
	}
	if err := s.send(s.textCall(c.text, c.more).payload); err != nil {
		return true, s.lost(err)
	}
	r, err := s.relayResults(shape{more: c.more})
	if err != nil {
		return true, s.lost(err)
	}
	s.rowCountAfter(r)
	if err := s.shut(); err != nil {
		return true, err
	}
	return r.err != nil, nil
}
