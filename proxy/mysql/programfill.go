package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// CREATE TABLE ... SELECT in a procedure is three steps. The transaction that is open ends, as ever: where a query fails while its rows are put into a temporary
// table, the server takes back all of it, also what was written before, and has that in its binary log all the same. The query may answer otherwise on every
// server, and mention variables, so that the program executes it once, into a temporary table, of which it tells the definition: a table of that definition is
// made on all members. In its next transaction the program fills that, and ends it: then the table gets its name, which it has not had before, so that nobody
// finds it empty.

// What a program tells when it ends a transaction of such a step.
const (
	tellBefore   = "earlier"  // what was written before is to be committed
	tellFill     = "fill"     // the temporary table is there; what the server says of it follows
	tellUnmade   = "unmade"   // it could not be made
	tellFilled   = "filled"   // the table is, too, and has its rows
	tellUnfilled = "unfilled" // it has not got them
)

// fillingStep is such a step.
type fillingStep struct {
	statement.Filling                 // with a database
	step              *statement.Step // what is executed; nil where that is a text, and none was allowed
	place             string          // the database of the next two
	temporary         string          // what the query is executed into
	hidden            string          // what the table is called before it has its rows
}

func (f *fillingStep) quoted() string { return quotedIn(f.Database, f.Table) }

func (f *fillingStep) quotedTemporary() string {
	return quotedIn(f.place, f.temporary)
}

func (f *fillingStep) quotedHidden() string { return quotedIn(f.place, f.hidden) }

// fillingOf returns a step with the names of its tables, which are the same in each text of it.
func (r *programRun) fillingOf(p *procedure, step *statement.Step) *fillingStep {
	if f := r.fillings[step]; f != nil {
		return f
	}
	f := &fillingStep{place: p.Database, temporary: fmt.Sprintf("%s_%d_", filled, len(r.fillings)+1), hidden: selected + r.s.hiddenTag()}
	if step.What.Kind == statement.CreateSelect {
		r.decideFilling(f, p, step)
		f.place = f.Database
	}
	r.fillings[step] = f
	return f
}

// decideFilling notes what is executed, in p.
func (r *programRun) decideFilling(f *fillingStep, p *procedure, step *statement.Step) {
	f.step, f.Filling = step, *step.What.Filling
	if f.Database == "" {
		f.Database = p.Database
	}
	for i := 0; i < len(r.renamed); i += 2 {
		if r.renamed[i] == f.temporary || r.renamed[i] == f.hidden {
			r.renamed[i+1] = f.Table
		}
	}
	if !slices.Contains(r.renamed, f.hidden) {
		r.renamed = append(r.renamed, f.temporary, f.Table, f.hidden, f.Table)
	}
}

// bareFilling is what a step does that needs the right to make the table and write into it. For what it reads the program needs rights of its own.
func bareFilling(f *statement.Filling, database string) string {
	if f.Database != "" {
		database = f.Database
	}
	verb := "CREATE TABLE "
	if f.Replace {
		verb = "CREATE OR REPLACE TABLE "
	}
	return verb + quotedIn(database, f.Table) + " SELECT 1 AS a"
}

// codeFilled is what a program is told where nothing is to be filled, because the table is there and that is no error. No error of the server's has it.
const codeFilled = 1

// filled stands in the place of CREATE TABLE ... SELECT, or where a text that says so is executed; create makes the temporary table. What fails is kept, and raised
// at the end: behind a statement of which the program handles the error by going on, it would be a later part of this. So is the last warning, for which a handler
// may leave.
func (r *programRun) filled(f *fillingStep, i int, create string, epoch uint64) string {
	v := r.name
	const failed, warned, number, rows, before, code, state, message = "failed", "warned", "number", "rows", "before", "failedcode", "failedstate", "failedmessage"
	keep := func(condition, flag string) string {
		return fmt.Sprintf("DECLARE CONTINUE HANDLER FOR %[1]s BEGIN GET DIAGNOSTICS %[2]s=NUMBER; IF %[2]s>0 THEN"+
			" GET DIAGNOSTICS CONDITION %[2]s %[3]s=MYSQL_ERRNO, %[4]s=RETURNED_SQLSTATE, %[5]s=MESSAGE_TEXT; END IF; SET %[6]s=1; END; ",
			condition, v(number), v(code), v(state), v(message), v(flag))
	}
	const exceptions, warnings = "SQLEXCEPTION", "SQLWARNING"
	keepError := keep(exceptions, failed)
	told := fmt.Sprintf("IF %[1]s=%[8]d THEN SET %[9]s=0; ELSEIF %[1]s<>0 THEN SET %[2]s=1, %[3]s=%[1]s, %[4]s=%[5]s, %[6]s=%[7]s; ",
		v("code"), v(failed), v(code), v(state), v("state"), v(message), v("message"), codeFilled, v(rows))
	var b strings.Builder
	fmt.Fprintf(&b, "BEGIN DECLARE %s, %s, %s INT DEFAULT 0; DECLARE %s BIGINT DEFAULT 0; DECLARE %s INT DEFAULT %d; DECLARE %s CHAR(5) CHARACTER SET utf8mb4 DEFAULT 'HY000';"+
		" DECLARE %s VARCHAR(512) CHARACTER SET utf8mb4 DEFAULT 'Unknown error'; ", v(failed), v(warned), v(number), v(rows), v(code), codeUnknown, v(state), v(message))
	fmt.Fprintf(&b, "DECLARE %s BIGINT DEFAULT %s; ", v(before), temporaryTables)
	b.WriteString(r.tellEnd(tellBefore, i) + r.toNext(false, epoch, "") + " ")
	b.WriteString("BEGIN " + keepError + keep(warnings, warned) + create + "; END; ")
	b.WriteString("IF " + v(failed) + " THEN " + r.tellEnd(tellUnmade, i, temporaryTables+">"+v(before)) + r.toNext(true, epoch, "") + " ELSE " + r.tellDefinition(i, f) + r.toNext(false, epoch, "") + " ")
	b.WriteString(told + "ELSE BEGIN " + keepError + heedless(warnings) + "SET STATEMENT sql_mode='NO_AUTO_VALUE_ON_ZERO', foreign_key_checks=0 FOR INSERT INTO " + f.quotedHidden() +
		" SELECT * FROM " + f.quotedTemporary() + "; SET " + v(rows) + "=ROW_COUNT(); END; ")
	b.WriteString("IF " + v(failed) + " THEN " + r.tellEnd(tellUnfilled, i) + r.toNext(true, epoch, "") +
		" ELSE " + r.tellEnd(tellFilled, i, v(rows)) + r.toNext(false, epoch, "") + " " + told + "END IF; END IF; END IF; ")
	b.WriteString("BEGIN " + heedless(exceptions+", "+warnings) + "DROP TEMPORARY TABLE IF EXISTS " + f.quotedTemporary() + "; END; END IF; ")
	b.WriteString("IF " + v(failed) + " THEN " + r.signal(code, state, message) + " ELSEIF " + v(warned) + " THEN SET " + v(state) + "='01000'; " + r.signal(code, state, message) + " END IF; END")
	return b.String()
}

// heedless declares that conditions are passed over.
func heedless(conditions string) string {
	return "DECLARE CONTINUE HANDLER FOR " + conditions + " BEGIN END; "
}

// filledBy stands in the place of a step that says it.
func (r *programRun) filledBy(p *procedure, i int, step *statement.Step, epoch uint64) string {
	f := r.fillingOf(p, step)
	return r.filled(f, i, "CREATE OR REPLACE TEMPORARY TABLE "+f.quotedTemporary()+step.Text[f.Rest:], epoch)
}

// farthest is how many letters of a text may stand before what follows the name of the table that it fills.
const farthest = 400

// filledByText stands where a text may say it that is in a variable. The ruling on it says behind how many of its letters that goes on which is said of the
// table.
func (r *programRun) filledByText(p *procedure, i int, step *statement.Step, epoch uint64) string {
	f, v := r.fillingOf(p, step), r.name
	create := fmt.Sprintf("EXECUTE IMMEDIATE CONCAT(%s, SUBSTRING(%s, %s+1))", inUTF8MB4("CREATE OR REPLACE TEMPORARY TABLE "+f.quotedTemporary()), v("text"), v("at"))
	return fmt.Sprintf("BEGIN DECLARE %[1]s INT DEFAULT 0; WHILE %[1]s<%[2]d AND IFNULL(IS_USED_LOCK(CONCAT(%[3]s, %[4]s, '%[5]s', %[1]s)), 0)<>%[6]d DO SET %[1]s=%[1]s+1; END WHILE;"+
		" IF %[1]s<%[2]d THEN %[7]s; ELSE %[8]s END IF; END;", v("at"), farthest, v("locks"), v("mine"), appliers.Fill, r.leader, r.filled(f, i, create, epoch), refuseText)
}

// mayFill says how a text is executed that fills a table.
func (r *programRun) mayFill(p *prepared) (appliers.Ruling, error) {
	at := utf8.RuneCountInString(p.text[:p.what.Filling.Rest])
	if p.what.Settings != "" || at >= farthest {
		return appliers.Refuse, refused("%s of a query is refused in such a text that a procedure executes: say it in the session", p.what.Verb)
	}
	return appliers.Fill + appliers.Ruling(strconv.Itoa(at)), nil
}

// tellDefinition tells that the transaction is about to end, and what the server says of the temporary table. No handler of the program's may tell
// something else in its place: the account of the node is to execute it.
func (r *programRun) tellDefinition(i int, f *fillingStep) string {
	return "BEGIN DECLARE CONTINUE HANDLER FOR SQLWARNING BEGIN END; DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND " + r.giveUp() + " " +
		r.tellEnd(tellFill, i) + inOneSyntax + ", character_set_results=utf8mb4 FOR SHOW CREATE TABLE " + f.quotedTemporary() + "; END; "
}

// fills takes what such a step tells.
func (r *programRun) fills(step *statement.Step, column string, values []string) error {
	f := r.fillings[step]
	if f == nil || f.step == nil {
		return errProgram
	}
	switch column {
	case r.name(tellFill):
		definition, err := r.definitionShown(f)
		if err != nil {
			return err
		}
		r.s.ownTemporary++
		prelude, err := r.endTold(values)
		if err != nil {
			return err
		}
		return r.passOn(false, false, func() (*wire.Error, error) { return r.makeHidden(f, prelude, definition) })
	case r.name(tellFilled):
		if len(values) == 0 {
			return errProgram
		}
		rows := values[len(values)-1]
		prelude, err := r.endTold(values[:len(values)-1])
		if err != nil {
			return err
		}
		if n, err := strconv.ParseUint(rows, 10, 63); err == nil {
			r.own += n // which the server counts twice
		}
		return r.passOn(false, false, func() (*wire.Error, error) { return r.reveal(f, prelude) })
	case r.name(tellBefore):
		if _, err := r.endTold(values); err != nil {
			return err
		}
		return r.passOn(false, false, func() (*wire.Error, error) { return nil, nil })
	case r.name(tellUnmade):
		if len(values) == 0 {
			return errProgram
		}
		if values[len(values)-1] == "1" {
			r.s.ownTemporary++ // it counts, though it was not made
		}
		if _, err := r.endTold(values[:len(values)-1]); err != nil {
			return err
		}
		return r.passOn(true, false, func() (*wire.Error, error) { return nil, nil })
	case r.name(tellUnfilled):
		if _, err := r.endTold(values); err != nil {
			return err
		}
		return r.passOn(true, false, func() (*wire.Error, error) {
			return r.behindBarrier(func(ctx context.Context) error { return r.s.dropMade(ctx, nil, f.quotedHidden()) })
		})
	}
	return errProgram
}

// definitionShown reads what the server says of the temporary table, behind its name.
func (r *programRun) definitionShown(f *fillingStep) (string, error) {
	s := r.s
	p, err := s.backend.ReadPacket()
	if err != nil {
		return "", err
	}
	columns, _, ok := wire.Lenenc(p)
	if !ok || columns != 2 || p[0] == wire.HeaderError {
		return "", errProgram
	}
	if p, err = s.backend.ReadPacket(); err != nil {
		return "", err
	}
	row, err := r.readRow(p, columns)
	if err != nil {
		return "", err
	}
	if len(row) != 2 {
		return "", errProgram
	}
	// A view of that name would be shown as something else.
	head := regexp.MustCompile("^CREATE TEMPORARY TABLE [`\"]?" + f.temporary + "[`\"]? \\(").FindString(row[1])
	if head == "" {
		return "", errProgram
	}
	return row[1][len(head)-2:], nil
}

// unlikeRows are in the definition of a table whose columns do not take all rows that SELECT * shows.
var unlikeRows = []string{" GENERATED ALWAYS AS ", " INVISIBLE"}

// makeHidden makes the table, under another name.
func (r *programRun) makeHidden(f *fillingStep, row []string, definition string) (failed *wire.Error, err error) {
	s, step := r.s, f.step
	if !step.Made && !r.rehearsed {
		if e := r.mayStep(step); e != nil {
			return e, nil
		}
	}
	if !r.readsAlike(row[1], row[2]) {
		return refused("%s is refused: the procedure has changed the sql_mode or character set that its text was checked with", step.What.Verb), nil
	}
	if slices.ContainsFunc(unlikeRows, func(words string) bool { return strings.Contains(definition, words) }) {
		return refused("CREATE TABLE ... SELECT of generated or invisible columns is refused in a procedure"), nil
	}
	row = slices.Clone(row)
	row[1] = definitionMode(row[1])
	prelude, _, err := preludeOf(row, step.What.Engine != "" || !strings.Contains(definition, "ENGINE=InnoDB"))
	if err != nil {
		return nil, err
	}
	return r.behindFilling(f, func(ctx context.Context) error {
		there, err := s.server.backend.Row(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema="+literal(f.Database)+" AND table_name="+literal(f.Table))
		if err != nil || len(there) != 1 {
			return errors.Join(unavailable(errors.New("the server does not tell which tables there are")), err)
		}
		if there[0] != "0" && !f.Replace {
			return &wire.Error{Code: codeTableExists, State: "42S01", Message: fmt.Sprintf("Table '%s' already exists", f.Table)}
		}
		return s.makeHidden(ctx, prelude, f.quotedHidden(), definition)
	})
}

// behindFilling is behindBarrier, for what does nothing where the table is there and IF NOT EXISTS was said.
func (r *programRun) behindFilling(f *fillingStep, change func(context.Context) error) (failed *wire.Error, err error) {
	failed, err = r.behindBarrier(change)
	if failed != nil && failed.Code == codeTableExists && f.IfNotExists {
		failed = &wire.Error{Code: codeFilled, State: failed.State, Message: failed.Message}
	}
	return failed, err
}

// reveal gives the table its name.
func (r *programRun) reveal(f *fillingStep, row []string) (failed *wire.Error, err error) {
	prelude, _, err := preludeOf(row, false)
	if err != nil {
		return nil, err
	}
	return r.behindFilling(f, func(ctx context.Context) error {
		err := r.s.nameFilled(ctx, prelude, f.quotedHidden(), f.quoted(), f.Replace)
		if isCertain(err) {
			return errors.Join(err, r.s.dropMade(ctx, nil, f.quotedHidden()))
		}
		return err
	})
}

// countOwn counts one temporary table as this node's own, if the session has made any since there were so many, and returns how many there are. Whatever else the query
// of it has made, by a function, is the client's.
func (s *session) countOwn(before uint64) (now uint64, err error) {
	if now, err = s.temporaryMade(); err == nil && now > before {
		s.ownTemporary++
	}
	return now, err
}

// temporaryMade is how many temporary tables the session has made.
func (s *session) temporaryMade() (uint64, error) {
	row, err := s.row("SELECT " + temporaryTables)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(row[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the temporary tables of the session: %w", err)
	}
	return n, nil
}
