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

// noTemporary are the codes with which the server, while another table is locked, answers who reads a table that is no temporary one: it is not locked, or
// not there, or denied.
const noTemporary = "1044, 1049, 1100, 1142, 1143, 1146"

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

// ofServer are databases of which some tables may be read whatever is locked.
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

// attempt executes a text, if there is one, where no probe fails.
func (r *programRun) attempt(before string, probes []string, text string) string {
	v, found := r.name, r.name("found")
	var b strings.Builder
	fmt.Fprintf(&b, "BEGIN DECLARE %s INT DEFAULT 0; %sSET %s=0, %s='', %s=''; EXECUTE IMMEDIATE '%s'; ", found, before, v("code"), v("state"), v("message"), rehearsalLock)
	for _, probe := range probes {
		fmt.Fprintf(&b, "BEGIN DECLARE EXIT HANDLER FOR %s BEGIN END; %s; SET %[3]s=%[3]s+1; END; ", noTemporary, probe, found)
	}
	if text != "" {
		fmt.Fprintf(&b, "IF %s=%d THEN %s; BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION GET DIAGNOSTICS CONDITION 1 %s=MYSQL_ERRNO, %s=RETURNED_SQLSTATE, %s=MESSAGE_TEXT; %s; END; %s; END IF; ",
			found, len(probes), openSession, v("code"), v("state"), v("message"), text, closeSession)
	}
	b.WriteString("EXECUTE IMMEDIATE 'UNLOCK TABLES'; " + r.tell(tellTried, 1, found, v("code"), v("state"), "BINARY CONVERT(HEX("+v("message")+") USING utf8mb4)") + " END; ")
	return b.String()
}

// tried takes what trial has told of a step that names so many tables. done is set where it is not to be executed any more; failed is what the program is
// told then.
func (r *programRun) tried(step *statement.Step, tables int, executed bool) (done bool, failed *wire.Error, err error) {
	values, err := r.expectRow(tellTried, 4)
	if err != nil {
		return false, nil, err
	}
	found, err := strconv.Atoi(values[0])
	code, codeErr := strconv.ParseUint(values[1], 10, 16)
	message, messageErr := hex.DecodeString(values[3])
	if err := errors.Join(err, codeErr, messageErr); err != nil {
		return false, nil, fmt.Errorf("what a program tells of temporary tables: %w", err)
	}
	switch {
	case found == 0:
		return false, nil, nil
	case found < tables:
		return true, refused("%s is refused: some of the tables are temporary and some are not; name them apart", step.What.Verb), nil
	case !executed:
		return true, ofTemporary(step), nil
	case code != 0:
		return true, &wire.Error{Code: uint16(code), State: values[2], Message: string(message)}, nil
	}
	return true, nil, nil
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
	probe   string
	refusal *wire.Error // if its table is no temporary one
}

// attemptOf returns nil for a text that is not tried.
func attemptOf(p *prepared, database string, d statement.Dialect) *attempt {
	what := &p.what
	if what.Kind != statement.DDL || len(what.Tables) != 1 || !changesTemporary(what.Verb) || p.dialect != d || !p.told && !isASCII(p.text) {
		return nil
	}
	schema, name, ok := triedName(what.Tables[0], database, d)
	text := probe(quoteName(schema) + "." + quoteName(name))
	if !ok || utf8.RuneCountInString(text) > 512 {
		return nil
	}
	return &attempt{probe: text}
}
