package mysql

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// The rows that a program tells its node something with begin with the name of a column. A text that the program executes could
// yield such a row too, for the block can be read in the list of processes. So each has a key that nobody has seen before, and the hash
// of the next one's. Keys are values of variables that no text can read; SET of one never shows in the list of processes, as a
// SELECT does, with the values in it.
const (
	tellBegin     = "begin"
	tellStep      = "step"
	tellCall      = "call"
	tellText      = "text"
	tellEnding    = "ending"
	tellPrepared  = "prepared"
	tellFailed    = "failed"    // in the place of prepared
	tellCommitted = "committed" // and see tellTried
)

// newKey makes the next key the one of now, and a next one.
func (r *programRun) newKey() string {
	v := r.name
	return fmt.Sprintf("SET %[1]s=%[2]s; SET %[2]s=HEX(RANDOM_BYTES(16)); SET %[3]s=SHA2(%[2]s, 256); ", v("key"), v("next"), v("hash"))
}

// tell tells the node a number and values.
func (r *programRun) tell(what string, number int, values ...string) string {
	return r.newKey() + r.row(what, number, values...)
}

// row is tell, behind newKey.
func (r *programRun) row(what string, number int, values ...string) string {
	columns := append([]string{fmt.Sprintf("%d AS %s", number, r.name(what)), "BINARY " + r.name("key"), "BINARY " + r.name("hash")}, values...)
	return "SELECT " + strings.Join(columns, ", ") + " LIMIT 1;" // whatever sql_select_limit is
}

// readRow reads what follows the definition of the first of so many columns of a row of the program's own.
func (r *programRun) readRow(definition []byte, columns uint64) ([]string, error) {
	s := r.s
	if !r.binary {
		return s.readRowOf(columns)
	}
	types := []byte{wire.ColumnType(definition)}
	for range columns - 1 {
		p, err := s.backend.ReadPacket()
		if err != nil {
			return nil, err
		}
		types = append(types, wire.ColumnType(p))
	}
	if !s.deprecateEOF {
		if _, err := s.backend.ReadPacket(); err != nil {
			return nil, err
		}
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return nil, err
	}
	values, ok := wire.BinaryRow(p, types)
	if !ok {
		return nil, errProgram
	}
	if p, err = s.backend.ReadPacket(); err != nil {
		return nil, err
	}
	if !wire.IsEnd(p, s.deprecateEOF) {
		return nil, errProgram
	}
	s.note(p)
	return values, nil
}

// keyColumns are the number and the keys.
const keyColumns = 3

// proven takes the keys out of a row that the procedure which is being executed has told, and returns the values behind them.
func (r *programRun) proven(row []string) ([]string, error) {
	if !r.tells(row) {
		return nil, errProgram
	}
	r.key, r.hash = row[1], row[2]
	return row[keyColumns:], nil
}

// tells reports whether it is this level that has told a row.
func (l *level) tells(row []string) bool {
	return len(row) >= keyColumns && fmt.Sprintf("%x", sha256.Sum256([]byte(row[1]))) == l.hash
}

// temporaryTables is how many of these the session has made.
const temporaryTables = "(SELECT information_schema.session_status.variable_value FROM information_schema.session_status WHERE information_schema.session_status.variable_name='COM_CREATE_TEMPORARY_TABLE')"

// lookedAt tells the text of PREPARE or EXECUTE, and executes the statement with that very text if it may. The variables are of this
// place alone: should the wait fail, a handler may execute other texts before the program goes on here.
func (r *programRun) lookedAt(p *procedure, i int, step *statement.Step, epoch uint64) string {
	v, execute := r.name, step.Text
	var b strings.Builder
	fmt.Fprintf(&b, "BEGIN DECLARE %s LONGTEXT CHARACTER SET utf8mb4; DECLARE %s VARCHAR(64) CHARACTER SET utf8mb4 DEFAULT '';", v("text"), v("mine"))
	if step.Source != "" {
		fmt.Fprintf(&b, " SET %s=(%s);", v("text"), step.Source)
		execute = "EXECUTE IMMEDIATE " + v("text") + " " + step.Using
		if step.What.Kind == statement.Prepare {
			execute = "PREPARE " + quoteName(step.What.Name) + " FROM " + v("text")
		}
	}
	fmt.Fprintf(&b, " %sSET %s=%s; ", r.newKey(), v("mine"), v("key"))
	b.WriteString(r.row(tellText, i, "@@sql_mode", "@@character_set_client", "BINARY CONVERT(HEX("+v("text")+") USING utf8mb4)", "LENGTH("+v("text")+")"))
	is := r.ruled
	body := "IF " + is(appliers.Execute) + " THEN " + execute + ";"
	if step.What.Kind == statement.Execute {
		then := " THEN "
		ending := then + r.tellEnd(tellEnding, i)
		try := "IF " + is(appliers.Try) + " THEN " + r.trialOfText(execute) + "END IF; "
		body += " ELSEIF " + is(appliers.Commit) + " OR " + is(appliers.Try) + ending + r.ending(false, epoch, try) + " ELSEIF " + is(appliers.RollBack) + then + r.tellRollback(tellEnding, i) + r.ending(true, epoch, "")
	}
	otherwise := refuseText
	if step.What.Kind == statement.Execute && step.Source != "" && step.Using == "" {
		otherwise = r.filledByText(p, i, step, epoch)
	}
	body += " ELSEIF " + is(appliers.Misread) + " THEN " + misreadText
	b.WriteString(r.wait(body + " ELSE " + otherwise + " END IF;"))
	b.WriteString(" END")
	return b.String()
}

// ruled reports whether a ruling was made of what the program has told with the key that is in the variable mine.
func (r *programRun) ruled(ruling appliers.Ruling) string {
	return fmt.Sprintf("IS_USED_LOCK(CONCAT(%s, %s, '%s'))=%d", r.name("locks"), r.name("mine"), ruling, r.leader)
}

// refusedText is what a program is told of a text that it must not execute, or of a procedure that it must not call. The client is told why.
const refusedText = "Nexus: a text that the procedure executes, or a call in it, is refused"

const (
	refuseText  = "SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO=1235, MESSAGE_TEXT='" + refusedText + "';"
	misreadText = "SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO=1064, MESSAGE_TEXT='" + refusedText + "';"
)

// look lets the program execute the text that it tells, or not, or does instead what the text says.
func (r *programRun) look(step *statement.Step, row []string) error {
	text, ruling, err := r.judge(step, row)
	if err != nil && !errors.As(err, &r.refusal) {
		return err
	}
	if err != nil && r.refusal.Code == codeSyntax {
		ruling = appliers.Misread
	}
	ctx, cancel := context.WithTimeout(r.s.server.ctx, proceedTimeout)
	defer cancel()
	if ruling == appliers.Try {
		if err := r.steering.Leave(ctx, probe(r.attempted.table)); err != nil {
			return fmt.Errorf("lead a procedure on: %w", err)
		}
	}
	if err := r.steering.Decide(ctx, r.key, ruling); err != nil {
		return fmt.Errorf("lead a procedure on: %w", err)
	}
	switch {
	case ruling == appliers.Commit, ruling == appliers.RollBack, ruling == appliers.Try:
		r.decided = &statement.Step{What: text.what, Text: text.text, Made: true}
	case strings.HasPrefix(string(ruling), string(appliers.Fill)):
		f := r.fillings[step]
		if f == nil {
			return errProgram
		}
		r.decideFilling(f, r.p, &statement.Step{What: text.what, Text: text.text, Made: true})
	}
	return nil
}
