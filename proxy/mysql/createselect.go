package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// createSelect executes CREATE TABLE ... SELECT, whose query may answer otherwise on every server. It is executed once, into
// a temporary table of the session; the table is then made on all members as that one is, and the rows follow as rows, all
// behind one barrier. It gets its name when it has its rows: whatever dies meanwhile, nobody finds it without.
func (s *session) createSelect(c call) (rows uint64, err error) {
	if s.tx != nil && s.tx.xa == nil || s.tx == nil && !s.mayWrite() {
		return 0, &wire.Error{Code: codeReadOnly, State: "25006", Message: "Cannot execute statement in a READ ONLY transaction"}
	}
	if err := s.commit(); err != nil {
		return 0, err
	}
	t, exists, err := s.tableToFill(c)
	if err != nil || exists {
		return 0, err
	}
	before, err := s.temporaryMade()
	if err != nil {
		return 0, err
	}
	var made changed
	err = s.makeTemporary(c, c.text[:c.what.Inner]+"CREATE TEMPORARY TABLE "+t.temporary()+c.text[t.Rest:], &made)
	whole := !neverTemporary(err) || c.what.Rewritten != ""
	if !whole {
		if before, err = s.countOwn(before); err != nil {
			return 0, err
		}
		s.facts.warnings, made.warnings = nil, nil
		err = s.makeTemporary(c, c.text[:c.what.Inner]+"CREATE TEMPORARY TABLE "+t.temporary()+" AS "+c.text[t.Query:], &made)
	}
	made.renamed(filled, t.Table)
	if err != nil {
		if len(made.warnings) > 0 {
			s.facts.warnings = made.warnings
		}
		return 0, calledAs(err, filled, t.Table)
	}
	if _, err = s.countOwn(before); err != nil {
		return 0, err
	}
	if err = s.hide(t, c); err != nil {
		return 0, err
	}
	if whole {
		rows, err = s.fill(t, c.what.Settings)
	} else {
		rows, err = s.fillAs(t, c)
	}
	noted := changed{warnings: s.facts.warnings}
	noted.renamed(t.made, t.Table)
	if s.facts.warnings = noted.warnings; err == nil {
		s.facts.warnings = append(s.facts.warnings, made.warnings...)
	}
	s.info = fmt.Sprintf("Records: %d  Duplicates: 0  Warnings: %d", rows, len(s.facts.warnings))
	// It goes in a transaction of its own too: the session is READ ONLY outside of one.
	return rows, errors.Join(err, s.inTransaction("DROP TEMPORARY TABLE IF EXISTS "+t.temporary(), nil))
}

// filling is a table to be made and filled.
type filling struct {
	statement.Filling
	// there is the type of what has its name already; made is what it is called until it has its rows.
	there, made string
}

func (t *filling) quoted() string { return quotedIn(t.Database, t.Table) }

func (t *filling) quotedMade() string { return quotedIn(t.Database, t.made) }

func (t *filling) isHidden() bool { return t.made != t.Table }

// hide chooses what the table is called until it has its rows: its own name where it may refer to itself, where the account
// may write into no table of another, and where that is of a view, which the server does not replace.
func (s *session) hide(t *filling, c call) error {
	t.made = t.Table
	if t.there == "VIEW" || statement.MentionsWord(c.text[t.Rest:t.Head], s.dialect, "REFERENCES") {
		return nil
	}
	hidden := selected + s.hiddenTag()
	verb := "INSERT"
	if t.Duplicates == "REPLACE" {
		verb = "REPLACE"
	}
	_, err := s.try(verb + " INTO " + quotedIn(t.Database, hidden) + " VALUES ()")
	var server *wire.Error
	if !errors.As(err, &server) {
		return err
	}
	if server.Code == codeReadOnly { // which is said to who may: the session is outside of a transaction
		t.made = hidden
	}
	return nil
}

// temporary is the table that the query is executed into.
func (t *filling) temporary() string { return quotedIn(t.Database, filled) }

// filled is what it is called.
const filled = "nexus_select"

// calledAs is an error of the server about a table, with another name of that.
func calledAs(err error, name, other string) error {
	var server *wire.Error
	if !errors.As(err, &server) || errors.Is(err, errHangUp) || !strings.Contains(server.Message, name) {
		return err
	}
	told := *server
	told.Message = strings.ReplaceAll(told.Message, name, other)
	return &told
}

// quotedIn is the name of what is in a database.
func quotedIn(database, name string) string { return quoteName(database) + "." + quoteName(name) }

func quoteName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// tableToFill returns what is to be done. exists says that it is nothing, because IF NOT EXISTS was said.
func (s *session) tableToFill(c call) (t *filling, exists bool, err error) {
	row, err := s.row("SELECT IFNULL(DATABASE(),'')")
	if err != nil {
		return nil, false, err
	}
	if e := s.refuseSchema(c, row[0], s.dialect); e != nil {
		return nil, false, e
	}
	text := c.text
	if c.hasParameters() {
		text = statement.WithValue(text, s.dialect, "1")
	}
	if err := s.rehearse(c, text); err != nil {
		return nil, false, err
	}
	t = &filling{Filling: *c.what.Filling}
	if t.Database == "" {
		t.Database = row[0]
	}
	if t.Database == "" {
		return nil, false, &wire.Error{Code: 1046, State: "3D000", Message: "No database selected"}
	}
	row, err = s.row("SELECT IFNULL(MAX(table_type),'') FROM information_schema.tables WHERE table_schema=" + s.literal(t.Database) + " AND table_name=" + s.literal(t.Table))
	if err != nil {
		return nil, false, err
	}
	if t.there = row[0]; t.there == "" || t.Replace {
		return t, false, nil
	}
	e := &wire.Error{Code: 1050, State: "42S01", Message: fmt.Sprintf("Table '%s' already exists", t.Table)}
	if !t.IfNotExists {
		s.facts.warnings = []appliers.Warning{{Level: "Error", Code: e.Code, Message: e.Message}}
		return nil, false, e
	}
	s.facts.warnings = []appliers.Warning{{Level: "Note", Code: e.Code, Message: e.Message}}
	return nil, true, nil
}

// makeTemporary makes the temporary table by text, with the parameters of c, which the server takes as it takes those of c.
func (s *session) makeTemporary(c call, text string, made *changed) error {
	switch {
	case c.using != "":
		return s.inTransaction("EXECUTE IMMEDIATE "+s.literal(text)+" "+c.using, made)
	case !c.hasParameters():
		return s.inTransaction(text, made)
	}
	if err := s.ask(openSession); err != nil { // else what writes is not even prepared
		return s.lost(err)
	}
	id, err := s.prepareOnce(text)
	var server *wire.Error
	if err != nil && !errors.As(err, &server) {
		return err // of the connection
	}
	if closed := s.shut(); closed != nil || err != nil {
		return errors.Join(err, closed)
	}
	payload, ok := c.prepared.asOther(c.payload, id)
	if !ok {
		err = refused("%s is refused with parameters that are sent apart", c.what.Verb)
	} else {
		err = s.commandInTransaction(payload, made)
	}
	if sent := s.send(append([]byte{wire.ComStmtClose}, id...)); sent != nil { // there is no response
		return errors.Join(err, sent)
	}
	return err
}

// definitionOf is what the server says of the temporary table behind its name.
func (s *session) definitionOf(t *filling) (string, error) {
	row, err := s.tryRow(inOneSyntax + ", character_set_results=@@character_set_client" + unlimited + "SHOW CREATE TABLE " + t.temporary())
	if err != nil {
		return "", err
	}
	if len(row) > 1 {
		if at := strings.Index(row[1], " ("); at >= 0 {
			return row[1][at:], nil
		}
	}
	return "", unavailable(errors.New("the server does not tell the definition of the table"))
}

// fill makes the table as the temporary one is, with the settings that SET STATEMENT has for it, and copies the rows.
func (s *session) fill(t *filling, settings string) (rows uint64, err error) {
	definition, err := s.definitionOf(t)
	if err != nil {
		return 0, err
	}
	prelude, _, err := s.preludeWith(settings, !strings.Contains(definition, "ENGINE=InnoDB"), definitionMode)
	if err != nil {
		return 0, err
	}
	err = s.behindBarrier(func(ctx context.Context) error {
		if err := s.make(ctx, t, prelude, definition); err != nil {
			return err
		}
		s.facts.warnings = slices.DeleteFunc(s.facts.warnings, func(w appliers.Warning) bool { return w.Code != codeOtherEngine })
		return s.fillOrDrop(ctx, t, prelude, func() (err error) {
			rows, err = s.copyRows(t)
			return err
		})
	})
	return rows, err
}

// make makes the table, by what a definition says behind its name.
func (s *session) make(ctx context.Context, t *filling, prelude []string, definition string) error {
	switch {
	case t.isHidden():
		return calledAs(s.makeHidden(ctx, prelude, t.quotedMade(), definition), t.made, t.Table)
	case t.Replace:
		return s.proposeSchema(ctx, prelude, "CREATE OR REPLACE TABLE "+t.quoted()+definition)
	}
	return s.proposeSchema(ctx, prelude, "CREATE TABLE "+t.quoted()+definition)
}

// neverTemporary reports whether an error says that a temporary table cannot be as the table is to be: partitioned, with a history, a period, an index
// FULLTEXT, a foreign key or compressed.
func neverTemporary(err error) bool {
	var server *wire.Error
	if !errors.As(err, &server) {
		return false
	}
	switch server.Code {
	case 1005, 1506, 1796, 4047, 4137, 4152:
		return true
	}
	return false
}

// selected begins what tables are called for the time of such a statement. The rest is by chance, as of those of a change: see altered.
const selected = "nexus_selected_"

// fillAs makes the table as c says, with the columns that the query has added, and copies the rows into it as the session would write them.
func (s *session) fillAs(t *filling, c call) (rows uint64, err error) {
	definition, err := s.definitionOf(t)
	if err != nil {
		return 0, err
	}
	substitute := c.what.Engine != "" || !strings.Contains(definition, "ENGINE=InnoDB")
	defining, _, err := s.preludeWith(c.what.Settings, substitute, definitionMode)
	if err != nil {
		return 0, err
	}
	row, err := s.row("SELECT @@sql_mode") // the client's own words are read with it, whatever SET STATEMENT has set for what they do
	if err != nil {
		return 0, err
	}
	prelude, _, err := s.preludeWith(c.what.Settings, substitute, func(mode string) string { return withSyntaxOf(mode, row[0]) })
	if err != nil {
		return 0, err
	}
	bare := selected + s.hiddenTag()
	columns := quotedIn(t.Database, bare)
	err = s.behindBarrier(func(ctx context.Context) error {
		if err := s.makeHidden(ctx, defining, columns, definition); err != nil {
			return err
		}
		names, err := s.server.backend.Row(ctx, "SET STATEMENT group_concat_max_len=1048576 FOR SELECT GROUP_CONCAT(CONCAT('`',REPLACE(column_name,'`','``'),'`') ORDER BY ordinal_position) FROM information_schema.columns"+
			" WHERE table_schema="+literal(t.Database)+" AND table_name='"+bare+"'")
		if err != nil || len(names) != 1 {
			return errors.Join(unavailable(errors.New("the server does not tell the columns of the table")), err, s.dropMade(ctx, nil, columns))
		}
		err = s.make(ctx, t, prelude, c.text[t.Rest:t.Head]+" SELECT * FROM "+columns)
		warnings := s.facts.warnings
		var final *finalError
		if errors.As(err, &final) {
			return err
		}
		err = errors.Join(err, s.dropMade(ctx, nil, columns))
		s.facts.warnings = warnings
		if err != nil {
			return err
		}
		return s.fillOrDrop(ctx, t, prelude, func() (err error) {
			rows, err = s.copyAs(t, c, names[0])
			return err
		})
	})
	return rows, err
}

// fillOrDrop calls what copies the rows into the new table, behind the barrier, and gives that its name. It drops it if something fails.
func (s *session) fillOrDrop(ctx context.Context, t *filling, prelude []string, fill func() error) error {
	defer s.writesAlone()()
	failpoint.Hit("mysql.filling")
	err := fill()
	if err == nil {
		failpoint.Hit("mysql.filled")
		err = s.reveal(ctx, t, prelude)
	}
	var final *finalError
	if err == nil || errors.Is(err, errHangUp) || errors.As(err, &final) {
		return err
	}
	warnings := s.facts.warnings
	err = errors.Join(calledAs(err, t.made, t.Table), s.dropMade(ctx, prelude, t.quotedMade()))
	s.facts.warnings = warnings
	return err
}

// reveal gives the table its name.
func (s *session) reveal(ctx context.Context, t *filling, prelude []string) error {
	if !t.isHidden() {
		return nil
	}
	warnings := s.facts.warnings
	if err := s.nameFilled(ctx, prelude, t.quotedMade(), t.quoted(), t.Replace); err != nil {
		return err
	}
	s.facts.warnings = warnings
	return nil
}

// nameFilled gives the table that was filled under another name the one it is for, in the place of what has that if replace is set: both or neither, so that there is
// ever one of them. The old one is not renamed before, which would take along what refers to it.
func (s *session) nameFilled(ctx context.Context, prelude []string, hidden, name string, replace bool) error {
	var texts []string
	if replace {
		texts = append(texts, "DROP TABLE IF EXISTS "+name)
	}
	err := s.proposeSchema(ctx, prelude, append(texts, "RENAME TABLE "+hidden+" TO "+name)...)
	if err == nil {
		s.forget(hidden)
	}
	return err
}

// writesAlone lets the session write behind the barrier that it keeps others out by, until the returned function is called.
func (s *session) writesAlone() (end func()) {
	s.excluding = true
	return func() {
		s.abandon() // what a lost connection has left open was begun behind the barrier
		s.excluding = s.locked.excludes()
	}
}

// copyAs copies the rows as CREATE TABLE ... SELECT writes them.
func (s *session) copyAs(t *filling, c call, columns string) (rows uint64, err error) {
	verb := "INSERT INTO "
	switch t.Duplicates {
	case "IGNORE":
		verb = "INSERT IGNORE INTO "
	case "REPLACE":
		verb = "REPLACE INTO "
	}
	var copied changed
	err = s.inTransaction(c.text[:c.what.Inner]+verb+t.quotedMade()+" ("+columns+") SELECT "+columns+" FROM "+t.temporary(), &copied)
	s.facts.warnings = append(s.facts.warnings, copied.warnings...)
	return copied.rows, err
}

// copyRows copies the rows as they are, whatever the session's sql_mode would make of them.
func (s *session) copyRows(t *filling) (rows uint64, err error) {
	row, err := s.row("SELECT GROUP_CONCAT(CONCAT('`',REPLACE(column_name,'`','``'),'`') ORDER BY ordinal_position) FROM information_schema.columns" +
		" WHERE is_generated='NEVER' AND table_schema=" + s.literal(t.Database) + " AND table_name=" + s.literal(t.made))
	if err != nil {
		return 0, err
	}
	var copied changed
	err = s.inTransaction("SET STATEMENT sql_mode='NO_AUTO_VALUE_ON_ZERO', foreign_key_checks=0 FOR INSERT INTO "+t.quotedMade()+" ("+row[0]+") SELECT "+row[0]+" FROM "+t.temporary(), &copied)
	if err != nil {
		s.facts.warnings = append(s.facts.warnings, copied.warnings...)
	}
	return copied.rows, err
}

// changed is what a statement has done: how many rows it has changed, and what the server has noted about it.
type changed struct {
	rows     uint64
	warnings []appliers.Warning
}

// renamed gives a table another name in what was noted.
func (c *changed) renamed(name, other string) {
	for i := range c.warnings {
		w := &c.warnings[i]
		w.Message = strings.ReplaceAll(w.Message, name, other)
	}
}

// inTransaction executes a statement of this node's own as a transaction that is replicated, and notes what it has done, if that is
// asked for.
func (s *session) inTransaction(text string, done *changed) error {
	return s.commandInTransaction(append([]byte{wire.ComQuery}, text...), done)
}

func (s *session) commandInTransaction(command []byte, done *changed) error {
	xa, err := s.startXA()
	if err != nil {
		return err
	}
	s.tx = &transaction{xa: xa, wrote: true}
	if err := s.send(command); err != nil {
		return err
	}
	p, err := s.backend.ReadPacket()
	switch {
	case err != nil:
		return err
	case len(p) == 0:
		return errors.New("an empty packet of the server")
	case p[0] == wire.HeaderError:
		e := wire.ParseError(p)
		if done != nil {
			if done.warnings, err = s.noted(); err != nil {
				return errors.Join(e, err, s.rollback())
			}
		}
		return errors.Join(e, s.rollback())
	}
	s.note(p)
	if done != nil {
		if done.rows, _, _ = wire.Lenenc(p[1:]); wire.Warnings(p) > 0 {
			if done.warnings, err = s.noted(); err != nil {
				return errors.Join(err, s.rollback())
			}
		}
	}
	return s.commit()
}
