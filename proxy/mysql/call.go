package mysql

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// callProcedure executes CALL of a procedure with steps. done is false for any other statement.
func (s *session) callProcedure(c call) (done, failed bool, err error) {
	if c.what.Verb != "CALL" || !s.mayWrite() || s.tx != nil && s.tx.xa == nil {
		return false, false, nil
	}
	p, said, err := s.procedure(&c)
	if err != nil {
		return true, true, s.failWith(err)
	}
	if p == nil {
		return false, false, nil
	}
	arguments, restore, err := s.enterProcedure(p, said.Arguments)
	if err != nil {
		return true, true, s.failWith(err)
	}
	failed, err = s.runProcedure(c, p, arguments, restore)
	return true, failed, err
}

// enterProcedure gives the session the settings that the procedure was made with, as the server would, and makes sure that the
// client may do what the procedure does. It returns the arguments as they are to be said then.
func (s *session) enterProcedure(p *procedure, said []string) (arguments []string, restore func() error, err error) {
	row, err := s.row("SELECT HEX(CONVERT(IFNULL(DATABASE(),'') USING utf8mb4)), @@sql_mode, @@character_set_client, @@collation_connection")
	if err != nil {
		return nil, nil, err
	}
	current, err := hex.DecodeString(row[0])
	if err != nil {
		return nil, nil, fmt.Errorf("the session's database: %w", err)
	}
	if len(current) == 0 {
		return nil, nil, &wire.Error{Code: 1046, State: "3D000", Message: "No database selected (Nexus: a procedure that ends transactions or changes the schema wants one)"}
	}
	if arguments, err = s.carry(p, said, row[1], row[2], string(current)); err != nil {
		return nil, nil, err
	}
	settings := func(mode, client, collation, database string) error {
		return s.ask("SET SESSION character_set_client=utf8mb4", "USE "+quoteName(database),
			fmt.Sprintf("SET SESSION sql_mode='%s', collation_connection=%s, character_set_client=%s", mode, collation, client))
	}
	restore = func() error { return settings(row[1], row[2], row[3], string(current)) }
	err = settings(p.mode, "utf8mb4", p.collation, p.database)
	if err == nil {
		err = s.maySteps(p)
	}
	if err != nil {
		return nil, nil, errors.Join(err, restore())
	}
	return arguments, restore, nil
}

// maySteps refuses a procedure of which the client may not execute every step.
func (s *session) maySteps(p *procedure) error {
	for i := range p.program.Steps {
		step := &p.program.Steps[i]
		if step.What.Kind != statement.DDL {
			continue
		}
		c := call{text: step.Text, what: step.What}
		if e := s.refuseSchema(c, p.database, p.dialect); e != nil {
			return e
		}
		if s.local {
			continue // its account is the one that executes the change
		}
		if s.tx != nil {
			return refused("CALL of a procedure that changes the schema is refused within a transaction: commit it first")
		}
		for _, table := range step.What.Tables { // which the rehearsal would change, and ask for no privilege
			is, err := s.isTemporary(table)
			if err != nil {
				return err
			}
			if is {
				return refused("%s of %s in a procedure is refused: the session has a temporary table of that name", step.What.Verb, table)
			}
		}
		if err := s.rehearseStep(c); err != nil {
			return err
		}
	}
	return nil
}

// rehearseStep is rehearse, for a change of something that may not be there yet. What is done to tables the server refuses for
// that reason only to who has the privilege.
func (s *session) rehearseStep(c call) error {
	text := c.text
	if c.what.Rewritten != "" {
		text = c.what.Rewritten
	}
	err := s.rehearse(c, text)
	var server *wire.Error
	if !errors.As(err, &server) {
		return err
	}
	switch c.what.Verb {
	case "CREATE TABLE", "ALTER TABLE", "DROP TABLE", "DROP TABLES", "TRUNCATE", "RENAME", "CREATE INDEX", "DROP INDEX", "CREATE DATABASE", "CREATE SCHEMA":
		if !denies(server.Code) {
			return nil
		}
	}
	return server
}

// denies reports whether a code of the server says that the client has no privilege.
func denies(code uint16) bool {
	switch code {
	case 1044, codeDenied, 1143, codeNotAllowed, codeRoutineDenied, codeNoAdmin:
		return true
	}
	return false
}

// runProcedure executes a procedure in the open transaction, or in one of its own.
func (s *session) runProcedure(c call, p *procedure, arguments []string, restore func() error) (failed bool, err error) {
	mark := s.client.Mark()
	r, failed, err := s.tryProcedure(c, p, arguments)
	if err != nil {
		s.client.Rewind(mark)
		if err := s.failWith(err); err != nil {
			return true, err
		}
	}
	if restoreErr := restore(); restoreErr != nil {
		return true, s.lost(restoreErr)
	}
	if err != nil { // before anything was executed
		return true, nil
	}
	if r.explicit {
		s.client.Hold = false
		return failed, nil
	}
	if failed {
		if err := s.rollback(); err != nil {
			return true, s.lost(err)
		}
		s.client.Hold = false
		return true, nil
	}
	return s.answerHeld(mark, s.commit())
}

// tryProcedure returns the run, of which the transaction is open still. An error ends the session, but for one that says that
// it could not be begun.
func (s *session) tryProcedure(c call, p *procedure, arguments []string) (r *programRun, failed bool, err error) {
	if err := s.implicit(); err != nil {
		return nil, true, err
	}
	r = &programRun{s: s, program: &p.program, database: p.database, mode: p.mode, user: p.caller, tag: newTag(), explicit: s.tx != nil}
	if r.patience, err = s.barrierPatience(); err != nil {
		return nil, true, err
	}
	if p.program.Texts {
		if r.rights, err = s.readRights(); err != nil {
			return nil, true, err
		}
		r.rights.all = r.rights.all || s.local
	}
	if s.tx == nil {
		xa, err := s.startXA()
		if err != nil {
			return nil, true, err
		}
		s.tx = &transaction{xa: xa}
	}
	s.tx.wrote = true
	if s.server.backend.SchemaChanges() != p.asOf { // before this transaction kept others out
		err := &wire.Error{Code: codeDeadlock, State: "40001", Message: "Nexus: the procedure was not executed, because the schema has just changed; try again"}
		return nil, true, errors.Join(err, s.rollback())
	}
	ctx, cancel := s.context(s.server.cfg.Timeout)
	defer cancel()
	if r.steering, err = s.server.backend.Steer(ctx, s.id); err != nil {
		return nil, true, errors.Join(unavailable(err), errHangUp)
	}
	run := r // r is nil where an error is returned
	s.steered.Store(run)
	defer func() {
		if err != nil { // the applier may be about to commit: what it reads must not be an answer to something else
			s.backend.Close()
		}
		s.steered.Store(nil)
		ctx, cancel := s.context(proceedTimeout)
		defer cancel()
		if err := run.steering.Close(ctx); err != nil {
			s.server.cfg.Logger.Debug("the end of a procedure", "err", err)
		}
	}()
	s.client.Hold = true // the answer is the client's only when the rows are safe
	if err := s.backend.Query(r.text(p, arguments, s.tx.xa)); err != nil {
		return nil, true, err
	}
	if err := s.backend.Flush(); err != nil {
		return nil, true, err
	}
	out, err := r.relay(shape{more: c.more, outside: !r.explicit})
	if err != nil {
		return nil, true, err
	}
	s.rowCountAfter(out)
	if out.err != nil && endsTransaction(out.err.Code) {
		r.explicit = false // there is none any more
	}
	return r, out.err != nil, nil
}

func newTag() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
