package mysql

import (
	"fmt"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// text is the block.
func (r *programRun) text(p *procedure, arguments []string, xa *appliers.Transaction) string {
	var b strings.Builder
	b.WriteString("BEGIN NOT ATOMIC " + r.variables(xa, literal(r.locks)) + r.parameters(p, arguments))
	b.WriteString(r.begin(xa))
	if p.Name != "" {
		b.WriteString("\n") // the server counts the lines of a procedure from the second one of such a block on
	}
	b.WriteString(r.body(p, xa.Epoch()))
	for i, parameter := range p.Parameters {
		if out(&parameter) {
			fmt.Fprintf(&b, "SET %s=%s;", arguments[i], quoteName(parameter.Name))
		}
	}
	b.WriteString("END")
	return b.String()
}

// standIn is the body of a procedure that does the same. Whoever else may call it does nothing by that.
func (r *programRun) standIn(p *procedure, xa *appliers.Transaction) string {
	return "BEGIN " + r.variables(xa, literal(r.locks)) + r.notOthers() + r.begin(xa) + r.body(p, xa.Epoch()) + "END"
}

// notOthers ends it for whoever is not the client.
func (r *programRun) notOthers() string {
	return fmt.Sprintf(" IF CONNECTION_ID()<>%d THEN SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO=1235, MESSAGE_TEXT='Nexus: this procedure is of a call of somebody else'; END IF;", r.s.id)
}

// variables declares those of the program's own. All names of transactions of a program have the same secret, so one is enough to make the others of.
func (r *programRun) variables(xa *appliers.Transaction, locks string) string {
	v := r.name
	return fmt.Sprintf("DECLARE %s, %s, %s, %s INT DEFAULT 0; DECLARE %s BIGINT UNSIGNED DEFAULT %d; DECLARE %s VARCHAR(80) CHARACTER SET utf8mb4 DEFAULT %s; DECLARE %s VARCHAR(40) CHARACTER SET utf8mb4 DEFAULT %s;"+
		" DECLARE %s CHAR(5) CHARACTER SET utf8mb4; DECLARE %s VARCHAR(512) CHARACTER SET utf8mb4; DECLARE %s, %s, %s VARCHAR(64) CHARACTER SET utf8mb4;",
		v("n"), v("step"), v("code"), v("ok"), v("sequence"), xa.Sequence(), v("xid"), literal(xa.Name()), v("locks"), locks, v("state"), v("message"), v("key"), v("next"), v("hash"))
}

// begin tells the node the hash of the first key.
func (r *programRun) begin(xa *appliers.Transaction) string {
	return fmt.Sprintf(" %sBEGIN %sSELECT 1 AS %s, BINARY %s LIMIT 1; END; ", r.tellSequence(), r.newKey(), r.name(tellBegin), r.name("hash"))
}

// body is that of the procedure, with others in the place of its steps. The server tells by the number of its line where an error was raised.
func (r *programRun) body(p *procedure, epoch uint64) string {
	return p.program.Replaced(func(i int, s *statement.Step) string {
		text := r.replacement(p, i, s, epoch)
		return text + strings.Repeat("\n", max(0, strings.Count(s.Text, "\n")-strings.Count(text, "\n")))
	}) + "\n;\n" // the body may end with a comment
}

// parameters declares those of the procedure. All arguments come first, in which the name of a parameter may be one of a column.
func (r *programRun) parameters(p *procedure, arguments []string) string {
	var b strings.Builder
	given := func(i int) string { return r.name(fmt.Sprint("argument", i)) }
	for i, parameter := range p.Parameters {
		if parameter.Mode != "OUT" {
			fmt.Fprintf(&b, " DECLARE %s %s DEFAULT (%s);", given(i), parameter.Declared, arguments[i])
			r.renamed = append(r.renamed, "'"+given(i)+"'", "'"+parameter.Name+"'", "`"+given(i)+"`", quoteName(parameter.Name))
		}
	}
	for i, parameter := range p.Parameters {
		value := "NULL"
		if parameter.Mode != "OUT" {
			value = given(i)
		}
		fmt.Fprintf(&b, " DECLARE %s %s DEFAULT %s;", quoteName(parameter.Name), parameter.Declared, value)
	}
	return b.String()
}
