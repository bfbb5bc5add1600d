package mysql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A schema change of a program may name a temporary table, and only when the program comes to it is known whether it does. So it is tried first, by the
// program itself, when the transaction before it is in the log: with another table locked, where the server lets a session change temporary tables and
// refuses to change any other one, whatever the node, or the program, takes it for. Only what turns out to be of no temporary table goes through the log.

// tellTried tells how many of the tables of a schema change are temporary, and what became of it if all are.
const tellTried = "tried"

// denials are codes of the server for who may not read a table that is no temporary one. Others hear, while another table is locked, that this one is not (1100). But
// so they do of a temporary one of MERGE, with the name of a table that it is made of.
const denials = "1044, 1142, 1143"

// triedTables are those that a step names, where they may be temporary; executed says that the step is executed if they are.
func (p *procedure) triedTables(step *statement.Step) (tables []string, executed bool) {
	what := &step.What
	if what.Kind != statement.DDL || step.Made {
		return nil, false
	}
	for _, table := range what.Tables {
		if _, _, ok := triedName(table, p.Database, p.dialect); !ok {
			return nil, false
		}
	}
	return what.Tables, changesTemporary(what.Verb)
}

// triedName returns what the name of a table means, if it may be one of a temporary table.
func triedName(table, database string, d statement.Dialect) (schema, name string, ok bool) {
	schema, name, ok = statement.TableOf(table, d)
	if schema == "" {
		schema = database
	}
	return schema, name, ok && schema != "" && !slices.ContainsFunc(ofServer, func(of string) bool { return strings.EqualFold(of, schema) })
}

// ofServer are databases of which some tables may be read whatever is locked, or are locked themselves.
var ofServer = []string{"information_schema", "performance_schema", "mysql", "sys", "nexus"}

// changesTemporary reports whether the server does to temporary tables, while another table is locked, what a verb says.
func changesTemporary(verb string) bool {
	switch verb {
	case "TRUNCATE", "ALTER TABLE", "CREATE INDEX", "DROP INDEX", "DROP TABLE", "DROP TABLES":
		return true
	}
	return false
}

// probe yields no error but for a temporary table, while another table is locked. It examines no rows, whatever the session allows.
func probe(table string) string { return "DO (SELECT COUNT(*) FROM " + table + " WHERE FALSE)" }

// trial executes a step if all of its tables are temporary. It stands where the program is in no transaction; whoever breaks it off ends the program.
func (r *programRun) trial(p *procedure, step *statement.Step) string {
	tables, executed := p.triedTables(step)
	if len(tables) == 0 {
		return ""
	}
	probes := make([]string, len(tables))
	for i, table := range tables {
		probes[i] = probe(table)
	}
	text := ""
	if executed {
		text = step.Text
	}
	return r.attempt("", probes, text)
}

// trialOfText is trial for a text: the node has left the probe of its table where the answer of a step stands.
func (r *programRun) trialOfText(execute string) string {
	told := r.name("probe")
	return r.attempt(fmt.Sprintf("DECLARE %[1]s VARCHAR(512) CHARACTER SET utf8mb4; SELECT %[2]s.message INTO %[1]s FROM nexus.program_answer AS %[2]s WHERE %[2]s.connection=%[3]d LIMIT 1; ",
		told, r.name("answer"), r.s.id), []string{"EXECUTE IMMEDIATE " + told}, execute)
}

// attempt executes a text, if there is one, where no probe fails. A program that gives up here may be there until somebody ends it, so it keeps no lock.
func (r *programRun) attempt(before string, probes []string, text string) string {
	v, found, denied, said := r.name, r.name("found"), r.name("denied"), r.name("said")
	var b strings.Builder
	fmt.Fprintf(&b, "BEGIN DECLARE %s, %s INT DEFAULT 0; DECLARE %s LONGTEXT CHARACTER SET utf8mb4 DEFAULT ''; %sSET %s=0, %s='', %s=''; BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND BEGIN BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; EXECUTE IMMEDIATE 'UNLOCK TABLES'; %s; END; %s END; ",
		found, denied, said, before, v("code"), v("state"), v("message"), closeSession, r.giveUp())
	fmt.Fprintf(&b, "EXECUTE IMMEDIATE '%s'; ", rehearsalLock)
	for _, probe := range probes {
		fmt.Fprintf(&b, "BEGIN DECLARE EXIT HANDLER FOR %[1]s SET %[2]s=%[2]s+1; DECLARE EXIT HANDLER FOR %[3]d BEGIN GET DIAGNOSTICS CONDITION 1 %[4]s=MESSAGE_TEXT; SET %[5]s=CONCAT(%[5]s, %[4]s), %[4]s=''; END; %[6]s; SET %[7]s=%[7]s+1; END; ",
			denials, denied, codeNotLocked, v("message"), said, probe, found)
	}
	if text != "" {
		fmt.Fprintf(&b, "IF %s=%d THEN %s; BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION GET DIAGNOSTICS CONDITION 1 %s=MYSQL_ERRNO, %s=RETURNED_SQLSTATE, %s=MESSAGE_TEXT; %s; END; %s; END IF; ",
			found, len(probes), openSession, v("code"), v("state"), v("message"), text, closeSession)
	}
	b.WriteString("EXECUTE IMMEDIATE 'UNLOCK TABLES'; END; " + r.tell(tellTried, 1, found, denied, v("code"), v("state"), inHex(v("message")), inHex(said)) + " END; ")
	return b.String()
}

// inHex is a text as the node reads it in a row of the program's own.
func inHex(text string) string { return "BINARY CONVERT(HEX(" + text + ") USING utf8mb4)" }

// tried takes what trial has told of a step that names these tables. done is set where it is not to be executed any more; failed is what the program is
// told then.
func (r *programRun) tried(step *statement.Step, tables []string, executed bool) (done bool, failed *wire.Error, err error) {
	values, err := r.expectRow(tellTried, 6)
	if err != nil {
		return false, nil, err
	}
	found, err := strconv.Atoi(values[0])
	denied, deniedErr := strconv.Atoi(values[1])
	code, codeErr := strconv.ParseUint(values[2], 10, 16)
	message, messageErr := hex.DecodeString(values[4])
	said, saidErr := hex.DecodeString(values[5])
	if err := errors.Join(err, deniedErr, codeErr, messageErr, saidErr); err != nil {
		return false, nil, fmt.Errorf("what a program tells of temporary tables: %w", err)
	}
	switch {
	case found == 0 && r.unnamed(string(said), tables) > denied:
		return true, refused("%s is refused: the session may have a temporary table of that name, which the server cannot open", step.What.Verb), nil
	case found == 0:
		return false, nil, nil
	case found < len(tables):
		return true, refused("%s is refused: some of the tables are temporary and some are not; name them apart", step.What.Verb), nil
	case !executed:
		return true, ofTemporary(step), nil
	case code != 0:
		return true, &wire.Error{Code: uint16(code), State: values[3], Message: string(message)}, nil
	}
	return true, nil, nil
}

// unnamed is how many tables are not named in what the server has said of tables that are not locked.
func (r *programRun) unnamed(said string, tables []string) (n int) {
	said = strings.ToLower(said)
	for _, table := range tables {
		_, name, _ := statement.TableOf(table, r.p.dialect)
		if !strings.Contains(said, "'"+strings.ToLower(name)+"'") {
			n++
		}
	}
	return n
}

// ofTemporary refuses what cannot be tried.
func ofTemporary(step *statement.Step) *wire.Error {
	instead := "say it outside of the procedure"
	if step.What.Verb == "RENAME" {
		instead = "say ALTER TABLE ... RENAME TO"
	}
	return refused("%s of a temporary table is refused in a procedure: %s", step.What.Verb, instead)
}

// attempt is of a text that is tried before it goes through the log.
type attempt struct {
	table   string      // in quotes, with its database
	refusal *wire.Error // if its table is no temporary one
}

// attemptOf returns nil for a text that is not tried.
func attemptOf(p *prepared, database string, d statement.Dialect) *attempt {
	what := &p.what
	if what.Kind != statement.DDL || len(what.Tables) != 1 || !changesTemporary(what.Verb) || p.dialect != d || !p.told && !isASCII(p.text) {
		return nil
	}
	schema, name, ok := triedName(what.Tables[0], database, d)
	table := quotedIn(schema, name)
	if !ok || utf8.RuneCountInString(probe(table)) > 512 {
		return nil
	}
	return &attempt{table: table}
}
