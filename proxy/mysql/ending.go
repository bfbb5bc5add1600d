package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// tellEnd tells that the transaction is about to end, and which one it is to the program.
func (r *programRun) tellEnd(what string, i int, more ...string) string {
	return r.learnSequence() + r.tell(what, i, append([]string{preludeColumns, temporaryTables, r.name("sequence")}, more...)...)
}

// tellRollback is tellEnd where nothing is to be done behind the end but to begin the next transaction. Like all that stands in the place of ROLLBACK, it reads no table in a
// statement that the server clears its diagnostics for: handlers ask for them behind ROLLBACK too.
func (r *programRun) tellRollback(what string, i int) string {
	return r.learnSequence() + r.tell(what, i, strings.Repeat("'', ", preludeLength)+"''", r.name("sequence"))
}

// ends takes what tellEnd has told.
func (r *programRun) ends(step *statement.Step, values []string) error {
	prelude, err := r.endTold(values)
	if err != nil {
		return err
	}
	return r.reached(step, prelude)
}

// endTold takes what tellEnd has told apart, and returns what a prelude is made of.
func (r *programRun) endTold(values []string) (prelude []string, err error) {
	if len(values) != preludeLength+2 || values[preludeLength+1] != strconv.FormatUint(r.s.tx.xa.Sequence(), 10) {
		return nil, errProgram
	}
	r.temporary = values[preludeLength] != strconv.FormatUint(r.s.ownTemporary, 10)
	return values[:preludeLength], nil
}

// ending is toNext, behind which the program meets the error of what the node has done.
func (r *programRun) ending(rolledBack bool, epoch uint64, between string) string {
	return r.toNext(rolledBack, epoch, between) + fmt.Sprintf(" IF %s<>0 THEN %s END IF;", r.name("code"), r.signal("code", "state", "message"))
}

// signal raises an error that variables of the program's own tell of. What a backslash in its message means is a matter of the sql_mode.
func (r *programRun) signal(code, state, message string) string {
	return fmt.Sprintf("EXECUTE IMMEDIATE CONCAT('SIGNAL SQLSTATE ''', %s, ''' SET MYSQL_ERRNO=', %s, ', MESSAGE_TEXT=_utf8mb4 x''', HEX(%s), '''');",
		r.name(state), r.name(code), r.name(message))
}

// toNext ends the transaction, executes what stands between, waits until the node has done what is to be done then, and begins the next one. What the program has handlers for
// must not lead it away from here in between: nothing keeps a statement outside of any transaction from the server alone.
func (r *programRun) toNext(rolledBack bool, epoch uint64, between string) string {
	v := r.name
	xa := func(verb string) string {
		return "EXECUTE IMMEDIATE CONCAT('XA " + verb + " 0x', HEX(" + v("xid") + "));"
	}
	var b strings.Builder
	if !rolledBack {
		// The transaction may have its marker already: see loss.go.
		fmt.Fprintf(&b, "BEGIN DECLARE CONTINUE HANDLER FOR 1062 SET %[1]s=0; SET %[1]s=1; %[2]s END;", v("ok"), r.mark(epoch))
		b.WriteString(xa("END") + xa("PREPARE"))
	}
	b.WriteString("BEGIN DECLARE CONTINUE HANDLER FOR SQLWARNING BEGIN END; DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND " + r.giveUp() + " ")
	if rolledBack {
		// Where the server has rolled back already, XA END fails, which would clear the diagnostics of what it was for.
		b.WriteString("IF @@in_transaction THEN BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; " + xa("END") + " END; END IF;" + xa("ROLLBACK"))
		b.WriteString(r.tell(tellCommitted, 1))
	} else {
		// After an error that a handler has passed over, nothing of it is prepared.
		b.WriteString("IF @@in_transaction THEN " + r.tell(tellPrepared, 1, v("ok")) + " ELSE " + r.tell(tellFailed, 1, v("ok")) + " END IF;")
		b.WriteString(r.wait(xa("COMMIT") + r.tell(tellCommitted, 1)))
	}
	b.WriteString(between)
	answer := r.answer(rolledBack) + r.nameTransaction() + r.tellSequence()
	next := "COMMIT; " + openFor + xa("START") // where autocommit is off, the row was read in a transaction
	if r.marks(rolledBack) {
		next += " " + r.mark(epoch) + " DO 0;" // which ROW_COUNT() tells of
	}
	b.WriteString(r.wait(answer + fmt.Sprintf("IF %s=%s-1 THEN %s ELSE %s END IF;", v("step"), v("n"), next, r.giveUp())))
	b.WriteString(" END;")
	return b.String()
}

// mark is the marker of the transaction that the program is in.
func (r *programRun) mark(epoch uint64) string {
	return fmt.Sprintf("INSERT INTO nexus.applied VALUES (%d,%s);", epoch, r.name("sequence"))
}

// marks reports whether the next transaction of the program begins with its marker. Behind ROLLBACK that would clear the diagnostics.
func (r *programRun) marks(rolledBack bool) bool { return r.loses && !rolledBack }

// answer reads what the node has left for the program. The table has a name that no variable of the procedure's has: they would come before columns.
func (r *programRun) answer(rolledBack bool) string {
	v := r.name
	from := fmt.Sprintf(" FROM nexus.program_answer AS %[1]s WHERE %[1]s.connection=%[2]d LIMIT 1", v("answer"), r.s.id)
	if rolledBack { // SET leaves the diagnostics as they are, and there is nothing that has failed
		of := func(column string) string { return fmt.Sprintf("(SELECT %s.%s%s)", v("answer"), column, from) }
		return fmt.Sprintf("SET %s=%s, %s=0, %s=%s; ", v("step"), of("step"), v("code"), v("sequence"), of("sequence"))
	}
	return fmt.Sprintf("SELECT %[6]s.step, %[6]s.code, %[6]s.state, %[6]s.message, %[6]s.sequence INTO %[1]s, %[2]s, %[3]s, %[4]s, %[5]s%[7]s; ",
		v("step"), v("code"), v("state"), v("message"), v("sequence"), v("answer"), from)
}

// nameTransaction makes the name of a transaction out of that of another one, and its number. The first one may have the name of one before it: see often.go.
func (r *programRun) nameTransaction() string {
	return fmt.Sprintf("SET %[1]s=IF(%[2]s=%[3]d, %[4]s, CONCAT(SUBSTRING_INDEX(%[1]s, '-', 2), '-', %[2]s, '-', SUBSTRING_INDEX(%[1]s, '-', -1))); ",
		r.name("xid"), r.name("sequence"), r.firstSequence, literal(r.firstName))
}

// giveUp ends a program whose node has gone, or does not want it to go on. An error it could have a handler for, and do behind that what nobody looks at.
// The server does not let a definer without a name end the connection: it waits there until the node, or the next one, ends it.
func (r *programRun) giveUp() string {
	return fmt.Sprintf("BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; KILL %d; LOOP DO SLEEP(86400); END LOOP; END;", r.s.id)
}

// wait waits for the lock of the next step, and executes then if the one behind it is held by who has given it.
func (r *programRun) wait(then string) string {
	v := r.name
	return fmt.Sprintf("SET %[1]s=GET_LOCK(CONCAT(%[2]s, %[3]s), 86400); DO RELEASE_LOCK(CONCAT(%[2]s, %[3]s)); SET %[3]s=%[3]s+1;"+
		" IF %[1]s=1 AND IS_USED_LOCK(CONCAT(%[2]s, %[3]s))=%[4]d THEN %[5]s ELSE %[6]s END IF;", v("ok"), v("locks"), v("n"), r.leader, then, r.giveUp())
}
