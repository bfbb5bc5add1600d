package mysql

import (
	"errors"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// call is one statement to be executed: the command that the server gets, and what is known about it.
type call struct {
	payload []byte
	text    string
	what    statement.Statement
	more    bool // another statement of the same text follows
	told    bool // it asks what the statement before has left, and has been told
	earlier bool // it was prepared when texts were read with other settings than now

	prepared *prepared // a CALL, or what changes the schema, that COM_STMT_EXECUTE executes; else nil
	using    string    // the parameters with which EXECUTE executes it, behind the word
}

// hasParameters reports whether parts of the text are sent beside it.
func (c *call) hasParameters() bool {
	return c.using != "" || c.prepared != nil && c.prepared.parameters > 0
}

// query answers COM_QUERY.
func (s *session) query(text string) error {
	if !s.multi || strings.IndexByte(text, ';') < 0 {
		_, err := s.timed(s.textCall(text, false), len(text))
		return err
	}
	parts := statement.Split(text, s.dialect)
	if len(parts) == 0 {
		parts = []string{text}
	}
	for i, part := range parts {
		if i > 0 {
			if err := s.slowDown(); err != nil {
				return err
			}
		}
		failed, err := s.timed(s.textCall(part, i < len(parts)-1), len(part))
		if failed || err != nil {
			return err
		}
	}
	return nil
}

func (s *session) textCall(text string, more bool) call {
	what := statement.Classify(text, s.dialect)
	text = atOnce(text, &what)
	payload := make([]byte, 0, len(text)+1)
	payload = append(payload, wire.ComQuery)
	return call{payload: append(payload, text...), text: text, what: what, more: more}
}

// atOnce is a statement without the word DELAYED, which is for other engines than tables have.
func atOnce(text string, what *statement.Statement) string {
	if what.Kind != statement.Write || what.Rewritten == "" {
		return text
	}
	text, what.Rewritten = what.Rewritten, ""
	return text
}

// dispatch executes one statement and answers it. failed says that the answer was an error; err ends the session.
func (s *session) dispatch(c call) (failed bool, err error) {
	if mayBeBlock(&c.what) {
		if done, failed, err := s.executeBlock(c); done {
			return failed, err
		}
	}
	if e := s.refuses(&c.what); e != nil {
		return true, s.failRefused(c.text, e)
	}
	if e := s.writesSystem(&c.what); e != nil {
		s.fail(e)
		return true, nil
	}
	if e := s.writesUnderLock(&c.what); e != nil {
		s.fail(e)
		return true, nil
	}
	if err := s.mayWriteFile(&c.what); err != nil {
		return true, s.failWith(err)
	}
	if c.what.Kind == statement.Diagnostics {
		if c.what.Verb == "SHOW" {
			s.facts.rowCount = nil // the server has shown rows since, whatever they were
		}
		if ok, failed, err := s.showWarnings(c); ok {
			return failed, err
		}
		return s.direct(c)
	}
	informed := s.informed(c)
	if informed.text == c.text && !c.told && c.what.Kind != statement.Set { // who asks for warnings leaves them where they are
		s.facts.warnings = nil
	}
	if c = informed; c.what.Kind != statement.Execute { // which is what it executes, and comes here again as that
		s.facts.rowCount = nil
	}
	switch c.what.Kind {
	case statement.Begin:
		return s.answer1(c, s.begin(c.what))
	case statement.Commit, statement.Rollback:
		return s.answer1(c, s.endTransaction(c))
	case statement.LockTables:
		return s.answer1(c, s.lockTables(c))
	case statement.Unlock:
		return s.answer1(c, s.unlock(false))
	case statement.Flush:
		return s.flush(c)
	case statement.Temporary:
		if strings.HasSuffix(c.what.Verb, " SEQUENCE") { // which the server makes and drops in no transaction
			return s.alterTemporary(c)
		}
		return s.direct(c)
	case statement.DDL:
		if c.hasParameters() {
			s.fail(refused("%s with parameters is refused: write the values into the text", c.what.Verb))
			return true, nil
		}
		if done, failed, err := s.changeTemporary(c); done {
			return failed, err
		}
		return s.answer1(c, s.schemaChange(c))
	case statement.CreateSelect:
		rows, err := s.createSelect(c)
		s.affected = rows
		return s.answer1(c, err)
	case statement.Set:
		return s.set(c)
	case statement.SetTransaction:
		return s.setTransaction(c)
	case statement.Prepare:
		return s.prepareNamed(c)
	case statement.Execute:
		return s.executeNamed(c)
	case statement.Deallocate:
		delete(s.named, statement.FoldName(c.what.Name))
		return s.direct(c)
	case statement.Write:
		if done, failed, err := s.callProcedure(c); done {
			return failed, err
		}
		return s.write(c)
	case statement.Read, statement.LockingRead:
		s.flushed = s.flushed || c.what.Verb == flushStatus
		return s.read(c)
	case statement.Savepoint:
		return s.savepoint(c)
	case statement.Kill:
		return s.kill(c)
	}
	if c.what.Kind == statement.Use {
		return s.use(c)
	}
	return s.direct(c) // Empty
}

// endTransaction executes COMMIT and ROLLBACK.
func (s *session) endTransaction(c call) error {
	if s.endsUnderLock(c) {
		return nil
	}
	if c.what.Kind == statement.Commit {
		return s.finish(c.what, s.commit)
	}
	return s.finish(c.what, s.rollback)
}

// answer1 answers a statement that this node executed itself.
func (s *session) answer1(c call, err error) (bool, error) {
	s.rowCountAfter(result{rows: err != nil, affected: s.affected})
	if err != nil {
		s.affected, s.info = 0, ""
		s.noteError(err)
		return true, s.failWith(err)
	}
	if checks := s.checks; checks != nil {
		s.checks = nil
		return false, s.showChecks(c.more, c.payload[0] == wire.ComStmtExecute, checks)
	}
	if err := s.ok(c.more); err != nil {
		return false, err
	}
	if c.what.Release {
		return false, errHangUp
	}
	return false, nil
}

// direct executes a statement as it is, with nothing before or behind it.
func (s *session) direct(c call) (bool, error) {
	if s.tx == nil {
		return s.relayRead(c)
	}
	return s.inside(c)
}

// inside executes a statement in the open transaction.
func (s *session) inside(c call) (bool, error) {
	if c.what.Locks {
		s.client.BeforeFlush = s.proveOffice
	}
	if s.tx.xa != nil && mayLose(&c.what) {
		if err := s.markBefore(&c); err != nil {
			return true, s.failWith(err)
		}
	}
	edit, err := s.edits(&c)
	if err != nil {
		return true, s.failWith(err)
	}
	if err := s.send(c.payload); err != nil {
		return true, s.lost(err)
	}
	r, err := s.relayResults(shape{more: c.more, cursor: wantsCursor(c.payload), edit: edit})
	if err != nil {
		return true, s.lost(err)
	}
	if r.err == nil {
		return false, nil
	}
	if endsTransaction(r.err.Code) {
		// The server has rolled back; what is left is the shell of XA.
		if err := s.rollback(); err != nil {
			return true, s.lost(err)
		}
	}
	return true, nil
}

// endsTransaction reports whether an error means that the server has rolled the whole transaction back.
func endsTransaction(code uint16) bool {
	switch code {
	case codeDeadlock, 1402, 1613, 1614: // and XA's words for the same
		return true
	}
	return false
}

// implicit begins the transaction that a statement begins where autocommit is off.
func (s *session) implicit() error {
	if s.tx != nil || s.status&wire.StatusAutocommit != 0 {
		return nil
	}
	return s.start(statement.Statement{})
}

// read executes what is taken for a read.
func (s *session) read(c call) (bool, error) {
	if err := s.implicit(); err != nil {
		return true, s.failWith(err)
	}
	if s.tx != nil {
		return s.inside(c)
	}
	s.server.stats.reads.Add(1)
	if err := s.proveOffice(); err != nil {
		return true, s.failWith(err)
	}
	return s.relayRead(c)
}

// relayRead executes a statement outside of any transaction, in the READ ONLY session. If it turns out to write, it is
// executed again as a write.
func (s *session) relayRead(c call) (bool, error) {
	edit, err := s.edits(&c)
	if err != nil {
		return true, s.failWith(err)
	}
	mark := s.client.Mark()
	flushed := false
	s.client.BeforeFlush = func() (err error) {
		if s.server.cfg.LeaseReads || c.what.Locks {
			err = s.proveOffice() // a process that was paused must not show what it read before, nor a lock it has waited for
		}
		flushed = err == nil
		return err
	}
	if err := s.send(c.payload); err != nil {
		return true, s.lost(err)
	}
	r, err := s.relayResults(shape{more: c.more, cursor: wantsCursor(c.payload), edit: edit})
	if err != nil {
		if !flushed {
			s.client.Rewind(mark)
		}
		s.client.BeforeFlush = nil
		return true, s.failWith(errors.Join(err, errHangUp)) // the rest of the response would be taken for the next one
	}
	if r.err == nil {
		return false, nil
	}
	if r.err.Code == codeReadOnly && !flushed && s.mayWrite() {
		s.client.Rewind(mark)
		s.client.BeforeFlush = nil
		return s.write(c)
	}
	return true, nil
}

// mayWrite reports whether the client may write outside of a transaction.
func (s *session) mayWrite() bool {
	return !s.reader && s.nextAccess != statement.ReadOnly && (s.access != statement.ReadOnly || s.nextAccess == statement.ReadWrite)
}

// proveOffice returns when this node is known to lead still, and its server to hold all that was acknowledged.
func (s *session) proveOffice() error {
	if err := s.catchUp(); err != nil || s.reader {
		return err
	}
	if term, ok := s.server.node.Office(); !ok || term != s.epoch {
		return s.final(unserved(officeOver))
	}
	return nil
}

// write executes a statement that writes rows.
func (s *session) write(c call) (bool, error) {
	if err := s.refuseSequence(&c); err != nil {
		return true, s.failWith(err)
	}
	if err := s.implicit(); err != nil {
		return true, s.failWith(err)
	}
	if s.tx != nil {
		if err := s.checkCalls(&c); err != nil {
			return true, s.failWith(err)
		}
		s.tx.wrote = true
		return s.inside(c)
	}
	if !s.mayWrite() {
		s.nextAccess = statement.AccessDefault
		if c.what.Calls {
			return s.callInReadOnly(c)
		}
		return s.relayRead(c) // the server's own words
	}
	return s.autocommit(c)
}
