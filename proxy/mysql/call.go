package mysql

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// callProcedure executes CALL of a procedure with steps. done is false for any other statement.
func (s *session) callProcedure(c call) (done, failed bool, err error) {
	if c.what.Verb != "CALL" || !s.mayWrite() || s.tx != nil && s.tx.xa == nil {
		return false, false, nil
	}
	if e := s.refuseOwnCall(c.what.Verb, c.text, s.dialect); e != nil {
		return true, true, s.failWith(e)
	}
	alone := s.tx == nil // a transaction that is open was rolled back otherwise
	for looks := 1; ; looks++ {
		p, said, err := s.procedure(&c)
		if err != nil {
			return true, true, s.failWith(err)
		}
		if p == nil {
			return false, false, nil
		}
		e, err := s.enterProcedure(&c, p, &said)
		if err != nil {
			return true, true, s.failWith(err)
		}
		failed, err = s.runProcedure(c, p, e, alone && looks < maxLooks)
		if !errors.Is(err, justChanged) {
			return true, failed, err
		}
	}
}

// maxLooks is how often a procedure is looked at anew, because the schema has changed before its transaction kept others from changing it.
const maxLooks = 10

// justChanged is for a procedure that was not executed.
var justChanged = &wire.Error{Code: codeDeadlock, State: "40001", Message: "Nexus: the procedure was not executed, because the schema has just changed; try again"}

// entry is how a procedure is called.
type entry struct {
	said *statement.Call
	// arguments are what the block says in the place of those that were said; nil where a stand-in is called, with these themselves.
	arguments []string
	// rehearsed is set where the client is known to have the privileges that each step wants.
	rehearsed bool
	unsure    refusals // if rehearsed is set: the steps of which it is not so
	restore   func() error
}

// refusals are of steps that are allowed if they are of temporary tables: what is said of such a one otherwise, or nil where it has not been asked yet.
type refusals map[*statement.Step]*wire.Error

// standsIn reports whether a stand-in is called: a procedure that may be called by the same accounts, and has the same rights.
func (e *entry) standsIn() bool { return e.arguments == nil }

// enterProcedure finds out how a procedure can be called. For a block, which has the rights of the client, it gives the session the settings that
// the procedure was made with, as the server would, and makes sure that the client may do what the procedure does.
func (s *session) enterProcedure(c *call, p *procedure, said *statement.Call) (e *entry, err error) {
	e = &entry{said: said, restore: func() error { return nil }}
	if p.hidden || c.prepared == nil && !p.takes(said.Arguments, s.dialect) { // or the server's own words
		return e, nil
	}
	row, err := s.row("SELECT HEX(CONVERT(IFNULL(DATABASE(),'') USING utf8mb4)), @@sql_mode, @@character_set_client, @@collation_connection")
	if err != nil {
		return nil, err
	}
	current, err := hex.DecodeString(row[0])
	if err != nil {
		return nil, fmt.Errorf("the session's database: %w", err)
	}
	if len(current) == 0 { // to which there is no way back
		return e, nil
	}
	if c.prepared == nil {
		e.arguments, err = s.carry(p, said.Arguments, row[1], row[2], string(current))
	}
	if err != nil {
		return nil, err
	}
	settings := func(mode, client, collation, database string) error {
		return s.ask("SET SESSION character_set_client=utf8mb4", "USE "+quoteName(database),
			fmt.Sprintf("SET SESSION sql_mode='%s', collation_connection=%s, character_set_client=%s", mode, collation, client))
	}
	restore := func() error { return settings(row[1], row[2], row[3], string(current)) }
	err = settings(p.Mode, "utf8mb4", p.Collation, p.Database)
	if err == nil {
		e.unsure, err = s.maySteps(p)
	}
	if err != nil || e.standsIn() {
		err = errors.Join(err, restore())
	} else {
		e.restore = restore
	}
	e.rehearsed = true
	return e, err
}

// maySteps refuses a procedure of which the client may not execute every step, but for those that may be of temporary tables.
func (s *session) maySteps(p *procedure) (unsure refusals, err error) {
	unsure = make(refusals)
	for i := range p.program.Steps {
		step := &p.program.Steps[i]
		if step.What.Kind != statement.DDL && step.What.Kind != statement.CreateSelect {
			continue
		}
		c := call{text: step.Text, what: step.What}
		if e := s.refuseSchema(c, p.Database, p.dialect); e != nil {
			return nil, e
		}
		if s.local {
			continue // its account is the one that executes the change
		}
		temporary, err := s.anyTemporary(step.What.Tables)
		if err != nil {
			return nil, err
		}
		_, tried := p.triedTables(step)
		switch {
		case temporary && !tried:
			return nil, ofTemporary(step)
		case temporary: // the rehearsal would change it, and ask for no privilege
			unsure[step] = nil
			continue
		}
		if step.What.Kind == statement.CreateSelect {
			c.text, c.what.Rewritten = bareFilling(step.What.Filling, p.Database), ""
		}
		err = s.mayChange(p, c)
		var refusal *wire.Error
		switch {
		case err == nil:
		case !tried || !errors.As(err, &refusal):
			return nil, err
		case denies(refusal.Code): // as the server would say it there
			unsure[step] = refusal
		case s.tx != nil && p.program.MayMakeTemporary():
			unsure[step] = nil
		default:
			return nil, err
		}
	}
	return unsure, nil
}

// mayChange refuses a step that the client has no privilege for. In a transaction nothing can be rehearsed.
func (s *session) mayChange(p *procedure, c call) error {
	if s.tx == nil {
		return s.rehearseStep(c)
	}
	rights, err := s.rightsOf(p.account, p.foreign)
	if err != nil {
		return err
	}
	if rights.allow(c.what.Verb, c.text, p.Database) != nil {
		return refused("CALL of a procedure that changes the schema is refused within a transaction, to an account that has not all privileges, or all on the tables of the databases that it names, itself: commit it first")
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
//
// With again, it returns justChanged where the procedure is to be looked at anew.
func (s *session) runProcedure(c call, p *procedure, e *entry, again bool) (failed bool, err error) {
	mark := s.client.Mark()
	r, failed, err := s.tryProcedure(c, p, e)
	if again && errors.Is(err, justChanged) {
		s.client.Rewind(mark)
		if restoreErr := e.restore(); restoreErr != nil {
			return true, s.lost(restoreErr)
		}
		return true, justChanged
	}
	if err != nil {
		s.client.Rewind(mark)
		if err := s.failWith(err); err != nil {
			return true, err
		}
	}
	if restoreErr := e.restore(); restoreErr != nil {
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
func (s *session) tryProcedure(c call, p *procedure, e *entry) (r *programRun, failed bool, err error) {
	if r, err = s.beginRun(p, e); err != nil {
		return nil, true, err
	}
	payload, forget, err := r.command(c, p, e)
	if err != nil {
		return nil, true, errors.Join(err, r.takeBack())
	}
	defer forget()
	run := r // r is nil where an error is returned
	s.steered.Store(run)
	defer func() {
		if err != nil { // the applier may be about to commit: what it reads must not be an answer to something else
			s.backend.Close()
		}
		s.steered.Store(nil)
		run.endSteering()
		run.forgetStandIns()
	}()
	s.client.Hold = true // the answer is the client's only when the rows are safe
	if err := s.send(payload); err != nil {
		return nil, true, err
	}
	f := shape{more: c.more, mixed: true}
	if p.Name != "" { // a block's mode is the client's
		f.dialect = &s.dialect
	}
	out, err := r.relay(f)
	if err != nil {
		return nil, true, err
	}
	s.rowCountAfter(out)
	// What follows clears them on the server.
	var server *wire.Error
	if s.facts.warnings, err = s.noted(); err != nil && (out.err == nil || !errors.As(err, &server)) {
		return nil, true, err
	}
	err = nil
	for i := range s.facts.warnings {
		r.tellAsOf(p, &s.facts.warnings[i])
	}
	if out.err != nil && endsTransaction(out.err.Code) {
		r.explicit = false // there is none any more
	}
	return r, out.err != nil, nil
}

// beginRun begins the run of a procedure, and a transaction for it where none is open.
func (s *session) beginRun(p *procedure, e *entry) (r *programRun, err error) {
	if err := s.implicit(); err != nil {
		return nil, err
	}
	first := &level{p: p, user: p.account, foreign: p.foreign, rehearsed: e.rehearsed, unsure: e.unsure}
	r = &programRun{level: first, s: s, caller: p.caller, tag: newTag(), explicit: s.tx != nil, schema: p.asOf, loses: p.loses, standIns: make(map[*procedure]*standIn), known: make(map[string]rights),
		fillings: make(map[*statement.Step]*fillingStep)}
	for _, callee := range p.reached {
		r.standIns[callee] = &standIn{name: appliers.NewStandInName(), asOf: p.asOf}
	}
	if err := s.understandsResults(); err != nil {
		return nil, err
	}
	if r.patience, err = s.barrierPatience(); err != nil {
		return nil, err
	}
	if len(p.reached) > 0 { // some may act with them, and the client's session cannot be asked then
		if r.known[r.caller], err = s.rightsOf(r.caller, false); err != nil {
			return nil, err
		}
	}
	if p.program.Texts || !e.rehearsed || len(e.unsure) > 0 {
		if r.rights, err = s.rightsOf(p.account, p.foreign); err != nil {
			return nil, err
		}
	}
	if s.tx == nil {
		xa, err := s.startXA()
		if err != nil {
			return nil, err
		}
		s.tx = &transaction{xa: xa}
	}
	r.firstSequence, r.firstName = s.tx.xa.Sequence(), s.tx.xa.Name()
	s.tx.wrote = true
	if s.tx.marking == markLost {
		return nil, s.lostTransaction()
	}
	if s.server.backend.SchemaChanges() != p.asOf { // before this transaction kept others out
		if err := s.rollback(); err != nil {
			return nil, err
		}
		return nil, justChanged
	}
	if p.loses {
		if err := s.markEarly(); err != nil {
			return nil, errors.Join(err, r.withoutTransaction())
		}
	}
	ctx, cancel := s.context(s.server.cfg.Timeout)
	defer cancel()
	if r.steering, err = s.server.backend.Steer(ctx, s.id); err != nil {
		return nil, errors.Join(unavailable(err), errHangUp)
	}
	r.leader, r.locks = r.steering.ID(), r.steering.Prefix()
	return r, nil
}

// understandsResults returns an error where the node does not understand what the procedure tells it among its results.
func (s *session) understandsResults() error {
	results, err := s.chosenResults("")
	if err != nil {
		return err
	}
	if isWide(results) {
		return refused("CALL of a procedure that commits, changes the schema or executes texts is refused while character_set_results is %s: choose another, such as utf8mb4, by SET NAMES", results)
	}
	return nil
}

// takeBack ends a run of which nothing was executed.
func (r *programRun) takeBack() error {
	r.endSteering()
	return r.withoutTransaction()
}

// withoutTransaction rolls back the transaction that was begun for the run.
func (r *programRun) withoutTransaction() error {
	if r.explicit {
		return nil
	}
	return r.s.rollback()
}

func (r *programRun) endSteering() {
	ctx, cancel := r.s.context(proceedTimeout)
	defer cancel()
	if err := r.steering.Close(ctx); err != nil {
		r.s.server.cfg.Logger.Debug("the end of a procedure", "err", err)
	}
}

func newTag() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
