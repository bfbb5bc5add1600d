package statement

import (
	"fmt"
	"strings"
)

// Facts are what a session is told about itself where its server would say something else: between the statements of a
// client stand those of Nexus, and outside of its transactions the session is READ ONLY to the server.
type Facts struct {
	// ReadOnly is what the client has chosen.
	ReadOnly bool
	// RowCount is what ROW_COUNT() says; nil if the server knows.
	RowCount *int64
	// Warnings and Errors are what @@warning_count and @@error_count say; nil if the server knows.
	Warnings, Errors *int
	// Events tells that events are executed, whatever the server's own scheduler does.
	Events bool
}

// Substitute returns text, a statement that reads or sets variables, with the facts in the place of what asks for them. Where such a thing
// is a column by itself, the column keeps its name.
func Substitute(text string, d Dialect, f *Facts) string {
	if !mentions(text, "read_only") && !mentions(text, "row_count") && !mentions(text, "warning_count") && !mentions(text, "error_count") &&
		!mentions(text, "event_scheduler") {
		return text
	}
	var out strings.Builder
	done := 0
	p := newParser(text, d)
	var before token
	for !p.end() {
		start := p.tok
		value, found := p.fact(f)
		if !found {
			if start.start == p.tok.start {
				p.skip()
			}
			before = start
			continue
		}
		end := start.start + len(strings.TrimRight(text[start.start:p.tok.start], " \t\r\n"))
		out.WriteString(text[done:start.start])
		out.WriteString(value)
		if (before.is("SELECT") || before.punct(',')) && (p.end() || p.tok.punct(',') || p.tok.is("FROM")) {
			out.WriteString(" AS `" + strings.ReplaceAll(text[start.start:end], "`", "``") + "`")
		}
		done = end
		before = token{}
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// fact takes something that the session is told otherwise, and returns what. It may have taken more or less where found is
// false.
func (p *parser) fact(f *Facts) (value string, found bool) {
	switch {
	case f.RowCount != nil && p.take("ROW_COUNT"):
		if !p.takePunct('(') || !p.takePunct(')') {
			return "", false
		}
		return fmt.Sprintf("IFNULL(%d,ROW_COUNT())", *f.RowCount), true // which has the type of the function
	case p.tok.kind != tokenSystem:
		return "", false
	}
	name := strings.ToLower(p.tok.text)
	p.skip()
	session := (name == "session" || name == "local") && p.takePunct('.')
	if session {
		name = strings.ToLower(p.name())
	}
	if f.Events && !session && (name == "event_scheduler" || name == "global" && p.takePunct('.') && p.take("EVENT_SCHEDULER")) {
		return "'ON'", true
	}
	switch {
	case name == "tx_read_only", name == "transaction_read_only" && (!p.lexer.dialect.MariaDB || p.lexer.dialect.Version >= 11_01_00):
		if f.ReadOnly {
			return "1", true
		}
		return "0", true
	case name == "warning_count" && f.Warnings != nil:
		return countAs(*f.Warnings, name), true
	case name == "error_count" && f.Errors != nil:
		return countAs(*f.Errors, name), true
	}
	return "", false
}

// countAs is a number with the type of a variable.
func countAs(n int, variable string) string {
	return fmt.Sprintf("IF(1,CAST(%d AS UNSIGNED),@@session.%s)", n, variable)
}

// mentions reports whether text may contain the word, which is in lower case and has an underscore in it.
func mentions(text, word string) bool {
	at := strings.IndexByte(word, '_')
	for from := 0; ; {
		i := strings.IndexByte(text[from:], '_')
		if i < 0 {
			return false
		}
		start := from + i - at
		if start >= 0 && start+len(word) <= len(text) && strings.EqualFold(text[start:start+len(word)], word) {
			return true
		}
		from += i + 1
	}
}
