package mysql

import (
	"bytes"
	"errors"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// facts are what the last statement left behind, where the session's server does not know: its transaction was ended, or it
// was executed, by other statements.
type facts struct {
	rowCount *int64
	// warnings are of a schema change, nil after anything else.
	warnings []appliers.Warning
}

// rowCountAfter notes what ROW_COUNT() has to say.
func (s *session) rowCountAfter(r result) {
	n := int64(r.affected)
	if r.err != nil || r.rows {
		n = -1
	}
	s.facts.rowCount = &n
}

// noteError keeps an error of this node's own for who asks what it was: the server has not met it.
func (s *session) noteError(err error) {
	var e *wire.Error
	if s.facts.warnings == nil && errors.As(err, &e) && strings.HasPrefix(e.Message, "Nexus: ") {
		s.facts.warnings = []appliers.Warning{{Level: "Error", Code: e.Code, Message: e.Message}}
	}
}

// informedText is the text of a statement with the facts in the place of what asks for them.
func (s *session) informedText(what *statement.Statement, text string) string {
	if what.Kind != statement.Read && (what.Kind != statement.Set || what.Verb != "SET") {
		return text
	}
	f := statement.Facts{ReadOnly: s.access == statement.ReadOnly, RowCount: s.facts.rowCount, Events: what.Kind == statement.Read}
	if s.facts.warnings != nil {
		n, errs := len(s.facts.warnings), 0
		for _, w := range s.facts.warnings {
			if w.Level == "Error" {
				errs++
			}
		}
		f.Warnings, f.Errors = &n, &errs
	}
	return statement.Substitute(text, s.dialect, &f)
}

// informed is the call with the facts in the place of what asks for them.
func (s *session) informed(c call) call {
	if c.payload[0] != wire.ComQuery {
		return c
	}
	text := s.informedText(&c.what, c.text)
	if text == c.text || string(c.payload[1:]) != c.text && strings.Contains(c.text, "?") { // nothing to tell, or EXECUTE of a statement with parameters, maybe
		return c
	}
	c.text = text
	c.payload = append(append(make([]byte, 0, len(text)+1), wire.ComQuery), text...)
	return c
}

// accessRow is how the row of the variable begins in SHOW VARIABLES.
var accessRow = []byte("\x0ctx_read_only")

// tellAccess returns a row of SHOW VARIABLES, with the access mode that the client has chosen.
func (s *session) tellAccess(row []byte) []byte {
	if !bytes.HasPrefix(row, accessRow) || s.access == statement.ReadOnly {
		return row
	}
	return append(append([]byte{}, accessRow...), "\x03OFF"...)
}

// schedulerRow is how the row of the variable begins in SHOW VARIABLES.
var schedulerRow = []byte("\x0fevent_scheduler")

// tellScheduler returns a row of SHOW VARIABLES, with the word that events are executed: they are, by the node that leads.
func tellScheduler(row []byte) []byte {
	if !bytes.HasPrefix(row, schedulerRow) {
		return row
	}
	return append(append([]byte{}, schedulerRow...), "\x02ON"...)
}

// binaryHead stands before the texts of a row of less than seven columns, none of them NULL, that a prepared statement has asked for.
var binaryHead = []byte{0, 0}

// inBinary is edit for rows that a prepared statement has asked for, of which all columns are texts.
func inBinary(edit func(row []byte) []byte) func(row []byte) []byte {
	return func(row []byte) []byte {
		if !bytes.HasPrefix(row, binaryHead) {
			return row
		}
		edited := edit(row[len(binaryHead):])
		if edited == nil {
			return nil
		}
		return append(append([]byte{}, binaryHead...), edited...)
	}
}

// edits returns what is done to the rows of SHOW VARIABLES, SHOW GRANTS, SHOW DATABASES and SHOW PROCEDURE STATUS; nil for other statements.
func (s *session) edits(c *call) (edit func(row []byte) []byte, err error) {
	if c.what.Verb != "SHOW" {
		return nil, nil
	}
	words := strings.Fields(strings.ToUpper(c.text[:min(len(c.text), 60)]))
	switch {
	case len(words) > 1 && words[1] == "VARIABLES" || len(words) > 2 && words[2] == "VARIABLES" && words[1] != "GLOBAL":
		edit = func(row []byte) []byte { return tellScheduler(s.tellAccess(row)) }
	case len(words) > 2 && words[2] == "VARIABLES":
		edit = tellScheduler
	case len(words) > 2 && words[1] == "PROCEDURE" && strings.TrimRight(words[2], ";") == "STATUS":
		return hidesOwnProcedure(c.payload[0] == wire.ComStmtExecute), nil
	case len(words) > 1 && strings.TrimRight(words[1], ";") == "GRANTS":
		edit = hideOwnGrant
	case len(words) > 1 && showsDatabases(strings.TrimRight(words[1], ";")):
		if edit, err = s.hidesOwnDatabase(); edit == nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	if c.payload[0] == wire.ComStmtExecute {
		return inBinary(edit), nil
	}
	return edit, nil
}

// hideOwnGrant leaves out of SHOW GRANTS what Nexus lets every account do for itself.
func hideOwnGrant(row []byte) []byte {
	if text, _, _, ok := wire.Text(row); ok && appliers.IsOwnGrant(string(text)) {
		return nil
	}
	return row
}

// showWarnings answers SHOW WARNINGS, SHOW ERRORS and their counts with what this node knows of the last statement. The server answers too, for the columns. ok is
// false where it answers alone.
func (s *session) showWarnings(c call) (ok, failed bool, err error) {
	what, ok := statement.ReadShowWarnings(c.text, s.dialect)
	if !ok || s.facts.warnings == nil || wantsCursor(c.payload) {
		return false, false, nil
	}
	if err := s.send(c.payload); err != nil {
		return true, true, s.lost(err)
	}
	none := func([]byte) []byte { return nil }
	r, err := s.relayResults(shape{more: c.more, edit: none, rows: s.warningRows(&what, c.payload[0] == wire.ComStmtExecute)})
	if err != nil {
		return true, true, s.lost(err)
	}
	return true, r.err != nil, nil
}

// warningRows are the rows that SHOW WARNINGS and its like show.
func (s *session) warningRows(what *statement.ShowWarnings, binary bool) (rows [][]byte) {
	var shown []appliers.Warning
	for _, w := range s.facts.warnings {
		if !what.Errors || w.Level == "Error" {
			shown = append(shown, w)
		}
	}
	if what.Count {
		return [][]byte{wire.CountRow(uint64(len(shown)), binary)}
	}
	from, to := what.Window(len(shown))
	for _, w := range shown[from:to] {
		rows = append(rows, wire.WarningRow(w.Level, w.Code, w.Message, binary))
	}
	return rows
}

// showChecks answers ANALYZE, OPTIMIZE and REPAIR TABLE.
func (s *session) showChecks(more, binary bool, checks [][4]string) error {
	rows := make([][]string, len(checks))
	for i := range checks {
		rows[i] = checks[i][:]
	}
	status := s.status &^ wire.StatusOfStatement
	if more {
		status |= wire.StatusMoreResults
	}
	for _, p := range wire.Table([]string{"Table", "Op", "Msg_type", "Msg_text"}, rows, status, s.deprecateEOF, s.extended, binary) {
		if err := s.client.WritePacket(p); err != nil {
			return err
		}
	}
	return nil
}
