package mysql

import (
	"slices"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// autocommit executes one statement that writes as a transaction of its own. All of it is sent together. Should XA START
// fail, the statement is refused by the closed session: see openFor.
func (s *session) autocommit(c call) (bool, error) {
	if c.what.LocalFile {
		return s.autocommitFile(c) // the file comes in between
	}
	xa, err := s.beginAutocommit()
	if err == nil {
		err = s.checkCalls(&c)
		loses := false
		if err == nil && c.what.Calls {
			loses, err = s.server.mayLose(c.text, s.dialect)
		}
		if err != nil {
			xa.End(true)
			s.over()
		}
		if loses {
			return s.autocommitMarked(c, xa)
		}
	}
	if err == nil {
		err = xa.Prepare()
	}
	if err != nil {
		return true, s.failWith(err)
	}
	s.expect()
	defer s.forgo()
	before, behind := s.markedStartOf(xa), s.endOf(xa)
	if asksNothing(&c.what) {
		s.backend.Await((len(before) + 1 + len(behind)) * wire.LeastAnswer)
	}
	if err := s.sendAll(slices.Concat(before, [][]byte{c.payload}, behind)); err != nil {
		return true, s.lost(err)
	}
	if err := s.answers(len(before)); err != nil {
		return true, s.lost(err)
	}
	s.client.Hold = true // the answer is the client's only when the rows are safe
	mark := s.client.Mark()
	r, err := s.relayResults(shape{more: c.more, cursor: wantsCursor(c.payload), outside: true})
	if err != nil {
		s.client.Rewind(mark)
		return true, s.lost(err)
	}
	s.rowCountAfter(r)
	failpoint.Hit("mysql.executed")
	ended := s.answers(len(behind))
	if r.err != nil {
		s.server.stats.rollbacks.Add(1)
		roll := s.rollbackXA
		if ended != nil {
			roll = s.rollbackEnded // which the client would see in SHOW WARNINGS
		}
		if err := roll(xa); err != nil {
			return true, s.lost(err)
		}
		return true, nil
	}
	if ended != nil {
		err = s.notPrepared(xa, ended)
	} else {
		err = s.commitPrepared(xa)
	}
	return s.answerHeld(mark, err)
}

// asksNothing reports whether the server answers a statement without asking the client for a file before.
func asksNothing(what *statement.Statement) bool {
	switch what.Verb {
	case "INSERT", "UPDATE", "DELETE", "REPLACE":
		return true
	}
	return false
}

// autocommitFile is autocommit for a statement that asks the client for a file.
func (s *session) autocommitFile(c call) (bool, error) {
	xa, err := s.beginAutocommit()
	if err != nil {
		return true, s.failWith(err)
	}
	// The marker comes first: what comes behind the statement would take its warnings away.
	if err := s.ask(openFor+"XA START "+xa.XID(), xa.Mark()); err != nil {
		return true, s.lost(err)
	}
	s.client.Hold = true
	if err := s.send(c.payload); err != nil {
		return true, s.lost(err)
	}
	// Nothing stays collected when the file is asked for; the answer begins where the client's packets end.
	if err := s.client.Flush(); err != nil {
		return true, err
	}
	r, err := s.relayResults(shape{more: c.more, outside: true})
	if err != nil {
		return true, s.lost(err)
	}
	s.rowCountAfter(r)
	if r.err != nil {
		return true, s.rollbackFailed()
	}
	return s.answerHeld(s.client.LastPacket(), s.commitEnding(xa, s.endOf(xa)))
}

// rollbackFailed takes back what a statement has done of which the client gets the error.
func (s *session) rollbackFailed() error {
	if err := s.rollback(); err != nil {
		return s.lost(err)
	}
	return nil
}

// autocommitMarked is autocommit for a program that may lose what it has written: see loss.go. What it warns of is asked before that is looked for.
func (s *session) autocommitMarked(c call, xa *appliers.Transaction) (bool, error) {
	if err := s.ask(openFor+"XA START "+xa.XID(), xa.Mark()); err != nil {
		return true, s.lost(err)
	}
	s.client.Hold = true
	mark := s.client.Mark()
	if err := s.send(c.payload); err != nil {
		return true, s.lost(err)
	}
	r, err := s.relayResults(shape{more: c.more, cursor: wantsCursor(c.payload), outside: true})
	if err != nil {
		s.client.Rewind(mark)
		return true, s.lost(err)
	}
	s.rowCountAfter(r)
	if r.err != nil {
		return true, s.rollbackFailed()
	}
	s.tx.marking = markedFirst
	warnings, err := s.noted()
	if err != nil {
		s.client.Rewind(mark)
		return true, s.lost(err)
	}
	if err = s.commit(); err == nil {
		s.facts.warnings = warnings
	}
	return s.answerHeld(mark, err)
}

func (s *session) beginAutocommit() (*appliers.Transaction, error) {
	s.nextAccess = statement.AccessDefault
	xa, err := s.beginXA()
	if err != nil {
		return nil, err
	}
	if err := s.nameOften(xa); err != nil {
		xa.End(true) // the server was told nothing of it
		s.leaveGate()
		return nil, err
	}
	s.tx = &transaction{xa: xa, wrote: true}
	return xa, nil
}

// answerHeld lets the answer go that stands behind mark, or puts the error in its place.
func (s *session) answerHeld(mark wire.Mark, err error) (bool, error) {
	if err != nil {
		s.client.Rewind(mark)
		return true, s.failWith(err)
	}
	s.client.Hold = false
	return false, nil
}
