package mysql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A program may make up a text and execute it (PREPARE, EXECUTE). Inside of a transaction of XA such a text could end it beside the
// log, or change what is of one server, and nobody would have looked at it. So a program that does that is executed only as a
// programRun, which tells its node each text before it executes it. A call by which the server would come to such a program in
// any other way is refused: which calls these are is seen from the names that stand in the text, and in the bodies of what it may call.

const textsUnseen = "it executes texts (PREPARE, EXECUTE), which Nexus looks at only in a procedure that the client calls by CALL as a text or prepared by its driver, or that such a one calls, " +
	"or in a block that it sends as a text, not with a cursor, or with parameters sent apart (COM_STMT_SEND_LONG_DATA): call it so"

// withMode is the dialect of a text that is read with a sql_mode.
func withMode(d statement.Dialect, mode string) statement.Dialect {
	d.NoBackslashEscapes, d.AnsiQuotes, d.Oracle = hasWord(mode, "NO_BACKSLASH_ESCAPES"), hasWord(mode, "ANSI_QUOTES"), hasWord(mode, "ORACLE")
	return d
}

// checkCalls refuses a statement by which the server would execute a program that must not be executed unseen. It is called
// inside of the gate: the schema does not change any more before the statement was executed.
func (s *session) checkCalls(c *call) error {
	if !c.what.Calls {
		return nil
	}
	if e := s.refuseOwnCall(c.what.Verb, c.text, s.dialect); e != nil {
		return e
	}
	// What an event does is a procedure of this moment, which no schema change has made.
	known, err := s.server.readCallables(s.local && strings.Contains(c.text, appliers.EventProcedure))
	if err != nil {
		return err
	}
	if c.what.Verb != "CALL" && statement.HasSteps(c.text, s.dialect) {
		e, err := s.inServersWords(c.text, refused("%s is refused, because it begins or ends transactions, sets autocommit or changes the schema: a block may that is sent as a text, in a default database, not in the mode "+
			"ORACLE, neither prepared nor behind SET STATEMENT, and without AND CHAIN, RELEASE, READ ONLY, CONSISTENT SNAPSHOT and SET autocommit", c.what.Verb))
		if err != nil {
			return errors.Join(err, errHangUp)
		}
		return e
	}
	says := mentionOf(c.text, s.dialect)
	found, why := known.unseen(says, anyDatabase)
	if found != nil && string(c.payload[1:]) == c.text { // a prepared one has the database of the time when it was prepared
		database, err := s.currentDatabase()
		if err != nil {
			return err
		}
		found, why = known.unseen(says, database)
	}
	if found == nil {
		return nil
	}
	return refused("%s is refused because of the procedure %s.%s: %s", c.what.Verb, found.database, found.name, why)
}

// currentDatabase is the default one, in utf8mb4; "" without one.
func (s *session) currentDatabase() (string, error) {
	row, err := s.row("SELECT HEX(CONVERT(IFNULL(DATABASE(),'') USING utf8mb4))")
	if err != nil {
		return "", err
	}
	database, err := hex.DecodeString(row[0])
	if err != nil {
		return "", fmt.Errorf("the session's database: %w", err)
	}
	return string(database), nil
}

// callInReadOnly executes a statement that calls programs in a session, or transaction to come, that is READ ONLY.
func (s *session) callInReadOnly(c call) (bool, error) {
	if err := s.enterGate(); err != nil {
		return true, s.failWith(err)
	}
	defer s.leaveGate()
	if err := s.checkCalls(&c); err != nil {
		return true, s.failWith(err)
	}
	s.flushed = true // maybe: this is in no transaction of XA, inside of which the server refuses FLUSH
	return s.relayRead(c)
}

// toldText is one that a program has made up, with what it would be read with.
type toldText struct {
	text, mode, client string
	null               bool
}

// readText takes what is told of a text.
func readText(row []string) (t toldText, err error) {
	if len(row) != 4 {
		return t, errProgram
	}
	text, err := hex.DecodeString(row[2])
	if err != nil {
		return t, fmt.Errorf("the text of a program: %w", err)
	}
	size := row[3]
	t = toldText{text: string(text), mode: row[0], client: row[1], null: size == ""}
	if !t.null && size != fmt.Sprint(len(text)) {
		return t, refused("a text of %s bytes that a procedure executes is too long to be looked at", size)
	}
	return t, nil
}

// judge says what becomes of what a program has told; the error says why it is refused.
func (r *programRun) judge(step *statement.Step, row []string) (*prepared, appliers.Ruling, error) {
	t, err := readText(row)
	if err != nil {
		return nil, appliers.Refuse, err
	}
	legible := t.client == "utf8mb4" || isASCII(t.text) && isCommonCharset(t.client)
	if !legible || hasWord(t.mode, "ORACLE") {
		return nil, appliers.Refuse, refused("%s is refused: the procedure has changed the sql_mode or character set that the text is read with", step.What.Verb)
	}
	name := statement.FoldName(step.What.Name)
	d := withMode(r.s.dialect, t.mode)
	var p *prepared
	database, meant := r.p.Database, r.p.Database
	switch {
	case step.Source == "":
		if p = r.s.named[name]; p == nil {
			return nil, appliers.Refuse, unknownPrepared(step.What.Name, "EXECUTE")
		}
		database, meant = anyDatabase, p.database
	case t.null:
		return nil, appliers.Execute, nil // the server's own words
	default:
		p = &prepared{text: t.text, what: statement.Classify(t.text, d), dialect: d, told: true}
	}
	if e := r.s.refusal(p); e != nil {
		return nil, appliers.Refuse, e
	}
	if step.What.Kind == statement.Prepare {
		p.database = database
		r.s.named[name] = p
		return p, appliers.Execute, nil // which executes nothing of it
	}
	ruling, err := r.mayExecute(p, database)
	if err != nil || ruling == appliers.Execute {
		return p, ruling, err
	}
	switch {
	case p.what.Kind == statement.CreateSelect && step.Source == "": // the program has the text no more
		err = refused("CREATE TABLE of a query is refused in a text that a procedure has prepared: use EXECUTE IMMEDIATE")
	case step.Using != "" || statement.MentionsWord(step.Text, d, "USING") && step.Source == "":
		err = refused("%s with parameters is refused in a text that a procedure executes", p.what.Verb)
	case p.what.Kind == statement.DDL, p.what.Kind == statement.CreateSelect:
		err = r.mayChange(p, d)
		if r.attempted = attemptOf(p, meant, d); r.attempted != nil && (err == nil || errors.As(err, &r.attempted.refusal)) {
			return p, appliers.Try, nil
		}
	}
	if err != nil {
		ruling = appliers.Refuse
	}
	return p, ruling, err
}

// mayExecute says how a text is executed.
func (r *programRun) mayExecute(p *prepared, database string) (appliers.Ruling, error) {
	what := &p.what
	switch what.Kind {
	case statement.Read:
		if what.Verb != flushStatus && !what.WritesFile {
			return appliers.Execute, nil
		}
	case statement.Empty, statement.LockingRead, statement.Diagnostics, statement.Savepoint, statement.Temporary:
		return appliers.Execute, nil
	case statement.Write:
		if err := r.mayWrite(p, database); err != nil {
			return appliers.Refuse, err
		}
		return appliers.Execute, nil
	case statement.Set:
		if what.Verb == "SET" && !slices.ContainsFunc(what.Assignments, changesSession) {
			return appliers.Execute, nil
		}
	case statement.Begin, statement.Commit, statement.Rollback:
		switch {
		case what.Chain || what.Release || what.Snapshot || what.Access == statement.ReadOnly:
		case what.Kind == statement.Rollback:
			return appliers.RollBack, nil
		default:
			return appliers.Commit, nil
		}
	case statement.DDL:
		return appliers.Commit, nil
	case statement.CreateSelect:
		return r.mayFill(p)
	}
	return appliers.Refuse, refused("%s is refused in a text that a procedure executes: say it in the session", what.Verb)
}

func (r *programRun) mayWrite(p *prepared, database string) error {
	if p.what.Verb == "LOAD" || isSystem(r.p.Database) {
		return refused("%s is refused in a text that a procedure executes", p.what.Verb)
	}
	if !p.what.Calls {
		return nil
	}
	if e := r.s.refuseOwnCall(p.what.Verb, p.text, p.dialect); e != nil {
		return e
	}
	known, err := r.s.server.readCallables(false)
	if err != nil {
		return err
	}
	if found, why := known.unseen(mentionOf(p.text, p.dialect), database); found != nil {
		return refused("%s is refused because of the procedure %s.%s: %s", p.what.Verb, found.database, found.name, why)
	}
	return nil
}

// changesSession reports whether an assignment changes how the node executes statements, or more than the session.
func changesSession(a statement.Assignment) bool {
	if a.User {
		return false
	}
	switch a.Name {
	case "autocommit", "role", "tx_read_only", "transaction_read_only":
		return true
	}
	return a.Global
}

// mayChange refuses a schema change of which it is not known whether the client may make it. Its connection executes the program, and
// cannot rehearse the change.
func (r *programRun) mayChange(p *prepared, d statement.Dialect) error {
	what := &p.what
	if e := r.s.refuseSchema(call{text: p.text, what: p.what}, r.p.Database, d); e != nil {
		return e
	}
	switch {
	case p.dialect != d:
		return refused("%s is refused: the procedure has changed the sql_mode since the text was prepared", what.Verb)
	case !p.told && !isASCII(p.text):
		return refused("%s is refused in a text that a procedure executes: its character set is that of the session", what.Verb)
	}
	text := p.text
	if what.Kind == statement.CreateSelect {
		text = bareFilling(what.Filling, r.p.Database)
	}
	if e := r.rights.allow(what.Verb, text, r.p.Database); e != nil {
		return e
	}
	return nil
}

// mayStep is mayChange, for a schema change that stands in the procedure, where its own session could not be asked.
func (r *programRun) mayStep(step *statement.Step) *wire.Error {
	if e := r.s.refuseSchema(call{text: step.Text, what: step.What}, r.p.Database, r.p.dialect); e != nil {
		return e
	}
	text := step.Text
	if step.What.Kind == statement.CreateSelect {
		text = bareFilling(step.What.Filling, r.p.Database)
	}
	return r.rights.allow(step.What.Verb, text, r.p.Database)
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
