package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A procedure that ends its transaction, or changes the schema, is executed as a block of statements, with something else in
// the place of each such step: the block prepares its transaction, tells so by a row, and waits for a lock that a Steering
// holds. The rows go through the log as those of any COMMIT; the applier gives the lock where it would say XA COMMIT itself.
// Then the schema change goes through the log, the block is told what became of it, and goes on in the next transaction. A text
// that the block has made up it tells before it executes it, and waits until it was looked at.
// Variables, cursors, handlers and the order of statements are the server's own business all the while.

// programRun is a procedure that is being executed, and those that it calls.
type programRun struct {
	*level             // the one that is being executed
	below     []*level // those that wait for it, in the order of their calls
	s         *session
	steering  *appliers.Steering
	leader    uint64        // the connection of steering
	locks     string        // begins the names of those of the procedure that was called first
	caller    string        // the client's account
	tag       string        // that no name of the client's contains
	patience  time.Duration // with those who keep a schema change waiting
	explicit  bool          // the client, or the program, has begun the transaction by itself
	commitBy  time.Time     // when the program must have said XA COMMIT; the applier's
	refusal   *wire.Error   // of the text, or call, that was refused last
	temporary bool          // the session may have temporary tables
	renamed   []string      // pairs of a name of the node's own, and the client's
	binary    bool          // rows come as those of a prepared statement
	own       uint64        // rows that the answer counts, and that are none of the client's
	schema    uint64        // how many schema changes there were when it was seen last what the program may call
	loses     bool          // a transaction may be lost: each has its marker first
	standIns  map[*procedure]*standIn
	known     map[string]rights // of accounts
	fillings  map[*statement.Step]*fillingStep

	firstSequence uint64 // of the transaction that it begins in
	firstName     string
}

// level is one procedure that is being executed, or about to be.
type level struct {
	p         *procedure
	user      string // whose rights it has
	foreign   bool   // and that is another account than the client's
	rehearsed bool   // the client is known to have the privileges that each step wants
	rights    rights // of user
	unsure    refusals
	decided   *statement.Step // what a text is executed as; nil where the program executes it
	attempted *attempt        // of that
	hash      string          // of the next key; "" before it has begun
	key       string          // that was told last
}

// names of what is declared besides what the procedure declares.
func (r *programRun) name(what string) string { return "nexus_" + r.tag + "_" + what }

// replacement stands in the place of a step.
func (r *programRun) replacement(p *procedure, i int, step *statement.Step, epoch uint64) string {
	if step.Call != nil {
		if callee := p.calls[i]; callee != nil {
			return r.calling(i, step, callee)
		}
		return step.Text
	}
	switch step.What.Kind {
	case statement.Prepare, statement.Execute:
		return r.lookedAt(p, i, step, epoch)
	case statement.CreateSelect:
		return r.filledBy(p, i, step, epoch)
	}
	if step.What.Kind == statement.Rollback {
		return "BEGIN " + r.tellRollback(tellStep, i) + r.ending(true, epoch, "") + " END"
	}
	return "BEGIN " + r.tellEnd(tellStep, i) + r.ending(false, epoch, r.trial(p, step)) + " END"
}

// told takes a row of the program's own that is not waited for.
func (r *programRun) told(column string, row []string) error {
	if r.hash == "" && column == r.name(tellBegin) && len(row) == 2 {
		return r.begun(row[1])
	}
	if err := r.returned(row); err != nil {
		return err
	}
	values, err := r.proven(row) // not in a character set of results such as utf16
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(row[0])
	if err != nil || number < 0 || number >= len(r.p.program.Steps) {
		return fmt.Errorf("a program tells %s out of its turn", column)
	}
	step := &r.p.program.Steps[number]
	switch {
	case column == r.name(tellCall):
		return r.call(r.p.calls[number], values)
	case column == r.name(tellText) && step.Call == nil:
		return r.look(step, values)
	case column == r.name(tellBefore), column == r.name(tellFill), column == r.name(tellUnmade), column == r.name(tellFilled), column == r.name(tellUnfilled):
		return r.fills(step, column, values)
	case step.What.Kind == statement.CreateSelect:
	case column == r.name(tellStep) && step.Call == nil:
		return r.ends(step, values)
	case column == r.name(tellEnding) && r.decided != nil:
		step, r.decided = r.decided, nil
		return r.ends(step, values)
	}
	return fmt.Errorf("a program tells %s out of its turn", column)
}

// expect reads a row of the program's own that tells nothing more.
func (r *programRun) expect(what string) error {
	_, err := r.expectRow(what, 0)
	return err
}

// expectRow reads a row of the program's own, with so many values behind the keys.
func (r *programRun) expectRow(what string, n int) ([]string, error) {
	s := r.s
	p, err := s.backend.ReadPacket()
	if err != nil {
		return nil, err
	}
	if len(p) > 0 && p[0] == wire.HeaderError {
		return nil, wire.ParseError(p)
	}
	columns, _, ok := wire.Lenenc(p)
	if !ok || columns != uint64(keyColumns+n) {
		return nil, errProgram
	}
	if p, err = s.backend.ReadPacket(); err != nil {
		return nil, err
	}
	told := wire.ColumnName(p)
	failed := what == tellPrepared && told == r.name(tellFailed)
	if told != r.name(what) && !failed {
		return nil, errProgram
	}
	row, err := r.readRow(p, columns)
	if err != nil {
		return nil, err
	}
	values, err := r.proven(row)
	if err == nil && failed {
		err = notPreparable
	}
	return values, err
}

// notPreparable is for a program that has a handler for an error with which the server has rolled back.
var notPreparable = &wire.Error{Code: codeDeadlock, State: "40001", Message: "Nexus: the transaction was rolled back before the procedure committed it, and the procedure went on " +
	"behind that error; try restarting transaction"}

// errProgram is for a program that could not end its transaction, and has a handler for that.
var errProgram = errors.New("the procedure went on behind an error at the end of its transaction")

// reached executes a step.
func (r *programRun) reached(step *statement.Step, prelude []string) error {
	change := func() (*wire.Error, error) { return nil, nil }
	if step.What.Kind == statement.DDL {
		change = func() (*wire.Error, error) { return r.change(step, prelude) }
	}
	return r.passOn(step.What.Kind == statement.Rollback, step.What.Kind == statement.Begin, change)
}

// passOn ends the transaction that the program is in, executes a change, and leads the program to the next one. After an error, the server
// cannot be told how to go on.
func (r *programRun) passOn(rolledBack, begins bool, change func() (failed *wire.Error, err error)) error {
	s := r.s
	before := s.tx.xa
	var failed *wire.Error
	err := r.endTransaction(rolledBack)
	if err == nil {
		failed, err = change()
	}
	if err != nil {
		return errors.Join(err, errHangUp)
	}
	r.explicit = begins || s.status&wire.StatusAutocommit == 0
	xa, err := s.beginXA()
	if err != nil {
		return errors.Join(err, errHangUp)
	}
	xa.Follow(before)
	s.tx = &transaction{xa: xa, wrote: true}
	if r.marks(rolledBack) {
		s.tx.marking = markedFirst
		r.own++
	}
	if err := r.stillSeen(); err != nil {
		return errors.Join(err, errHangUp)
	}
	if !rolledBack {
		r.own++ // the answer, which is read into variables by SELECT
	}
	answer := &appliers.StepAnswer{Next: xa}
	if failed != nil {
		answer.Failed = &appliers.ServerError{Code: failed.Code, State: failed.State, Message: failed.Message}
	}
	return r.proceed(answer)
}

// endTransaction ends the transaction that the program is in.
func (r *programRun) endTransaction(rolledBack bool) error {
	s := r.s
	xa := s.tx.xa
	if rolledBack {
		if err := r.expect(tellCommitted); err != nil {
			return err
		}
		s.server.stats.rollbacks.Add(1)
		xa.End(true)
		s.over()
		return nil
	}
	if s.tx.marking != markedFirst {
		r.own++ // the marker
	}
	if err := xa.Prepare(); err != nil {
		return s.fenced(err)
	}
	values, err := r.expectRow(tellPrepared, 1)
	if err != nil {
		return err
	}
	if s.tx.marking == markedFirst && values[0] != "0" {
		s.server.stats.rollbacks.Add(1)
		return errors.Join(errLost, s.rollbackXA(xa))
	}
	return s.commitPrepared(xa)
}

// change executes a schema change. What failed is the program's to handle.
func (r *programRun) change(step *statement.Step, row []string) (failed *wire.Error, err error) {
	s := r.s
	prelude, _, err := preludeOf(row, step.What.Engine != "")
	if err != nil {
		return nil, err
	}
	refusal, unsure := r.unsure[step]
	tables, executed := r.p.triedTables(step)
	if step.Made && r.attempted != nil {
		refusal, tables, executed = r.attempted.refusal, []string{r.attempted.table}, true
		r.own++ // the probe
	}
	if len(tables) > 0 {
		if done, failed, err := r.tried(step, tables, executed); done || err != nil {
			return failed, err
		}
	} else if len(step.What.Tables) > 0 && (r.temporary || s.flushed) {
		return refused("%s is refused in this procedure, or in a text that it executes: the session may have a temporary table of that name; "+
			"connect again (to drop it is not enough), or let the client do that outside of a procedure", step.What.Verb), nil
	}
	if refusal != nil {
		return refusal, nil
	}
	if (!r.rehearsed || unsure) && !step.Made {
		if err := r.mayStep(step); err != nil {
			return err, nil
		}
	}
	if !r.readsAlike(row[1], row[2]) {
		return refused("%s is refused: the procedure has changed the sql_mode or character set that its text was checked with", step.What.Verb), nil
	}
	if step.What.ChangesAccounts() && statement.MentionsWord(step.Text, s.dialect, "CURRENT_ROLE") {
		return refused("CURRENT_ROLE is refused in a procedure: name the role"), nil
	}
	prelude = append(ownRoles(step.What.Roles), prelude...)
	text := step.What.Rewritten
	if text == "" {
		text = s.asClient(call{what: step.What}, withDefiner(step.Text, step.What.Definer, r.user), r.user)
	}
	text = step.What.ByDefaultAlgorithm(text, r.p.dialect)
	failed, err = r.behindBarrier(func(ctx context.Context) error {
		return s.proposeSchema(ctx, prelude, text)
	})
	if failed != nil && failed.Code == codeNoPartition && !r.rights.all { // whether the account may read the table cannot be asked for now
		failed.Message = withoutPartition
	}
	return failed, err
}

// behindBarrier calls change while no transaction is open. What failed is the program's to handle.
func (r *programRun) behindBarrier(change func(context.Context) error) (failed *wire.Error, err error) {
	s := r.s
	err = s.behindBarrierFor(r.patience, change)
	s.affected, s.checks, s.info = 0, nil, ""
	if !isCertain(err) {
		return nil, err
	}
	errors.As(err, &failed)
	return failed, nil
}

// readsAlike reports whether a text means to a session with this sql_mode and character_set_client what it meant when the
// procedure was looked at.
func (r *programRun) readsAlike(mode, client string) bool {
	for _, word := range []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "IGNORE_SPACE", "ORACLE"} {
		if hasWord(mode, word) != hasWord(r.p.Mode, word) {
			return false
		}
	}
	return client == "utf8mb4"
}

// proceedTimeout bounds the way to the server.
const proceedTimeout = 10 * time.Second

// proceed lets the program go on. It is called by the applier too, which has no time to lose.
func (r *programRun) proceed(answer *appliers.StepAnswer) error {
	ctx, cancel := context.WithTimeout(r.s.server.ctx, proceedTimeout)
	defer cancel()
	if err := r.steering.Proceed(ctx, answer); err != nil {
		return fmt.Errorf("lead a procedure on: %w", err)
	}
	return nil
}

// commitTimeout is less than what a leader's server may be silent for: all programs that are let go on together have it together.
const commitTimeout = 2 * time.Second

// sendCommit lets the program say XA COMMIT, and committed waits until it has.
func (r *programRun) sendCommit() error {
	r.commitBy = time.Now().Add(commitTimeout)
	return r.proceed(nil)
}

func (r *programRun) committed() error {
	// Somebody who has learned the name of the lock may have got it instead: the applier then commits by itself.
	if err := r.s.backend.SetReadDeadline(r.commitBy); err != nil {
		return err
	}
	return errors.Join(r.expect(tellCommitted), r.s.backend.SetReadDeadline(time.Time{}))
}

// withoutOwnRows takes the rows out of the number in an OK packet that the program has written and read for its node: the server
// counts those of all statements in it.
func (r *programRun) withoutOwnRows(p []byte) []byte {
	if len(p) == 0 || p[0] != wire.HeaderOK {
		return p
	}
	rows, rest, ok := wire.Lenenc(p[1:])
	if !ok || rows < r.own {
		return p
	}
	return append(wire.AppendLenenc([]byte{wire.HeaderOK}, rows-r.own), rest...)
}

// codeAtLine is the server's word for where in a program an error was raised.
const codeAtLine = 4094

// tellAsOf has a note of the server's be one of the client's procedures.
func (r *programRun) tellAsOf(p *procedure, w *appliers.Warning) {
	if w.Code == codeAtLine && p.Name != "" {
		w.Message = strings.Replace(w.Message, " in anonymous block", " in "+p.Database+"."+p.Name, 1)
	}
	w.Message = strings.NewReplacer(r.renamed...).Replace(w.Message)
}

// ownColumn reports whether a column is of a row of the program's own, and its name. A character set of results that the procedure has
// chosen may have put zeros between its letters: nobody would answer the program if it was not known.
func (r *programRun) ownColumn(definition []byte) (name string, own bool) {
	name = wire.ColumnName(definition)
	return name, strings.HasPrefix(strings.ReplaceAll(name, "\x00", ""), r.name(""))
}

// column gives the names of the client's own procedures to columns that are parameters of those which stand in for them.
func (r *programRun) column() func([]byte) []byte {
	if !r.binary || len(r.renamed) == 0 {
		return nil
	}
	names := make(map[string]string, len(r.renamed)/2)
	for i := 0; i < len(r.renamed); i += 2 {
		names[r.renamed[i]] = r.renamed[i+1]
	}
	return func(definition []byte) []byte { return wire.RenamedTable(definition, names) }
}

// codeNotVariable is the server's word for an argument that must be a variable, and is none.
const codeNotVariable = 1414

// withoutKey is the message of an error, with the number of an argument that the client has written: what stands in for a procedure that another one calls has one more,
// before these.
func (r *programRun) withoutKey(e *wire.Error) string {
	const said = "OUT or INOUT argument %d for routine "
	var n int
	if _, err := fmt.Sscanf(e.Message, said, &n); e.Code != codeNotVariable || err != nil {
		return e.Message
	}
	for _, in := range r.standIns {
		if in.made && strings.Contains(e.Message, "."+in.name+" ") {
			return strings.Replace(e.Message, fmt.Sprintf(said, n), fmt.Sprintf(said, n-1), 1)
		}
	}
	return e.Message
}

// relay passes on what the program answers, and does what it asks for.
func (r *programRun) relay(f shape) (result, error) {
	s := r.s
	s.executing.Store(true)
	defer s.executing.Store(false)
	for {
		p, err := s.backend.ReadPacket()
		if err != nil {
			return result{}, err
		}
		columns, _, ok := wire.Lenenc(p)
		if !ok || columns == 0 || p[0] == wire.HeaderError { // the end
			out := result{}
			if len(p) > 0 && p[0] == wire.HeaderError {
				out.err = wire.ParseError(p)
				switch {
				case out.err.Message == refusedText && r.refusal != nil:
					p = r.refusal.Packet()
				case out.err.Code == codeInsideXA: // in what it calls
					p = insideXA.Packet()
				default:
					if told := strings.NewReplacer(r.renamed...).Replace(r.withoutKey(out.err)); told != out.err.Message {
						out.err.Message = told
						p = out.err.Packet()
					}
				}
				return out, s.client.WritePacket(p)
			}
			p = r.withoutOwnRows(p)
			out.affected, _, _ = wire.Lenenc(p[1:])
			f.outside = !r.explicit
			status, err := s.relayEnd(p, f)
			if err != nil || status&wire.StatusMoreResults == 0 {
				return out, err
			}
			continue
		}
		header := bytes.Clone(p)
		if p, err = s.backend.ReadPacket(); err != nil {
			return result{}, err
		}
		if name, own := r.ownColumn(p); own {
			row, err := r.readRow(p, columns)
			if err == nil {
				err = r.told(name, row)
			}
			if err != nil {
				return result{}, err
			}
			continue
		}
		if f.column = r.column(); f.column != nil {
			p = f.column(p)
		}
		if err := errors.Join(s.client.WritePacket(header), s.client.WritePacket(p)); err != nil {
			return result{}, err
		}
		f.outside = !r.explicit
		out, status, err := s.relayRowsOf(columns-1, f)
		if err != nil || out.err != nil || status&wire.StatusMoreResults == 0 {
			return out, err
		}
	}
}
