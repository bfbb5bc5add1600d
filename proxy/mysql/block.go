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
	b.WriteString("BEGIN NOT ATOMIC " + r.variables(xa) + r.parameters(p, arguments))
	b.WriteString(r.body(xa))
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
	return "BEGIN " + r.variables(xa) + fmt.Sprintf("\nIF CONNECTION_ID()<>%d THEN %s END IF;", r.s.id, giveUp) + r.body(xa) + "END"
}

func (r *programRun) variables(xa *appliers.Transaction) string {
	v := r.name
	return fmt.Sprintf("DECLARE %s, %s, %s, %s INT DEFAULT 0; DECLARE %s BIGINT UNSIGNED DEFAULT %d; DECLARE %s VARCHAR(80) CHARACTER SET utf8mb4 DEFAULT %s; DECLARE %s VARCHAR(40) CHARACTER SET utf8mb4 DEFAULT '%s';"+
		" DECLARE %s CHAR(5) CHARACTER SET utf8mb4; DECLARE %s VARCHAR(512) CHARACTER SET utf8mb4; DECLARE %s, %s, %s VARCHAR(64) CHARACTER SET utf8mb4;",
		v("n"), v("step"), v("code"), v("ok"), v("sequence"), xa.Sequence(), v("xid"), r.s.literal(xa.Name()), v("locks"), r.steering.Prefix(), v("state"), v("message"), v("key"), v("next"), v("hash"))
}

// body is that of the procedure, with others in the place of its steps.
func (r *programRun) body(xa *appliers.Transaction) string {
	return "\nBEGIN " + r.newKey() + fmt.Sprintf("SELECT 1 AS %s, BINARY %s LIMIT 1; END;\n", r.name(tellBegin), r.name("hash")) +
		r.program.Replaced(func(i int, s *statement.Step) string { return r.replacement(i, s, xa.Epoch()) }) + "\n;\n" // the body may end with a comment
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
