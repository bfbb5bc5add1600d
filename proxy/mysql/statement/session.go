package statement

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// set classifies everything that begins with SET.
func (p *parser) set(verb string) Statement {
	switch {
	case p.at("TRANSACTION"):
		return p.setTransaction(false)
	case p.take("STATEMENT"):
		return p.setStatement()
	case p.take("PASSWORD"):
		return Statement{Kind: DDL, Verb: "SET PASSWORD"}
	case p.take("DEFAULT", "ROLE"):
		return Statement{Kind: DDL, Verb: "SET DEFAULT ROLE"}
	case p.at("RESOURCE"):
		return refuse("SET RESOURCE", reasonServer)
	}
	for _, scope := range []string{"SESSION", "LOCAL"} {
		if q := *p; q.take(scope) && q.at("TRANSACTION") {
			return q.setTransaction(true)
		}
	}
	if q := *p; q.take("GLOBAL") && q.at("TRANSACTION") {
		return q.setGlobalTransaction()
	}
	s := Statement{Kind: Set, Verb: verb}
	for {
		if reason := p.assignment(&s); reason != "" {
			return refuse(verb, reason)
		}
		if p.end() {
			return s
		}
		if !p.takePunct(',') {
			return refuse(verb, "Nexus does not understand its assignments")
		}
	}
}

// setGlobalTransaction classifies SET GLOBAL TRANSACTION, of which the word TRANSACTION is next.
func (p *parser) setGlobalTransaction() Statement {
	s := p.setTransaction(true)
	switch {
	case s.Kind == Refused:
		return s
	case s.Access != AccessDefault:
		return refuse("SET GLOBAL", "the access mode decides how Nexus executes a statement; set it for the session")
	}
	value := "'" + strings.ReplaceAll(s.Isolation, " ", "-") + "'"
	return Statement{Kind: Set, Verb: "SET", Assignments: []Assignment{{Global: true, Name: "tx_isolation", Value: value}}}
}

// setStatement classifies SET STATEMENT a=1, b=2 FOR statement, which MariaDB has.
func (p *parser) setStatement() Statement {
	var vars Statement
	var end int // of what is assigned
	start := p.tok.start
	for {
		if reason := p.assignment(&vars); reason != "" {
			return refuse("SET STATEMENT", reason)
		}
		switch last := vars.Assignments[len(vars.Assignments)-1]; last.Name {
		case "tx_read_only", "transaction_read_only", "autocommit":
			return refuse("SET STATEMENT", last.Name+" decides how Nexus executes a statement; set it for the session")
		default:
			if last.Global {
				return refuse("SET STATEMENT", last.Name+" would be set for all sessions")
			}
		}
		if end = p.tok.start; p.take("FOR") {
			break
		}
		if !p.takePunct(',') {
			return refuse("SET STATEMENT", "Nexus does not understand its assignments")
		}
	}
	inner, inside := p.tok.start, p.lexer.inside
	s := p.classify()
	s.Settings, s.Inner = strings.TrimSpace(p.lexer.text[start:end]), inner
	switch s.Kind {
	case Read, LockingRead, Write, DDL, Temporary, Refused:
		return s
	case CreateSelect:
		if inside {
			return refuse("SET STATEMENT", "it stands in a comment that is executed, before a query that fills a table")
		}
		return s
	case Execute:
		if inside || slices.ContainsFunc(vars.Assignments, func(a Assignment) bool { return changesReading(a, p.lexer.dialect) }) {
			return refuse("SET STATEMENT", "the text would be read with other settings than it was looked at with")
		}
		return s
	}
	return refuse("SET STATEMENT", "it stands before a statement that changes the session")
}

// changesReading reports whether a text may mean something else where a variable is set than in dialect d.
func changesReading(a Assignment, d Dialect) bool {
	if a.Name != "sql_mode" {
		return a.Name == "names" || a.Name == "charset" || strings.HasPrefix(a.Name, "character_set_") || strings.HasPrefix(a.Name, "collation_")
	}
	if d.AnsiQuotes || d.NoBackslashEscapes || !strings.HasPrefix(a.Value, "'") {
		return true
	}
	for _, mode := range strings.Split(upper(unquote(a.Value)), ",") {
		if !valueModes[mode] {
			return true
		}
	}
	return false
}

// valueModes are what sql_mode says about values, rather than about how a text is read.
var valueModes = map[string]bool{
	"": true, "STRICT_TRANS_TABLES": true, "STRICT_ALL_TABLES": true, "NO_ZERO_IN_DATE": true, "NO_ZERO_DATE": true, "ALLOW_INVALID_DATES": true,
	"ERROR_FOR_DIVISION_BY_ZERO": true, "TRADITIONAL": true, "NO_AUTO_CREATE_USER": true, "NO_ENGINE_SUBSTITUTION": true, "NO_AUTO_VALUE_ON_ZERO": true,
	"ONLY_FULL_GROUP_BY": true, "NO_UNSIGNED_SUBTRACTION": true, "PAD_CHAR_TO_FULL_LENGTH": true, "TIME_ROUND_FRACTIONAL": true,
}

// assignment takes one item of SET, and says why it is refused.
func (p *parser) assignment(s *Statement) string {
	switch {
	case p.take("NAMES"):
		return p.charset(s, "names")
	case p.take("CHARACTER", "SET"), p.take("CHARSET"):
		return p.charset(s, "charset")
	case p.take("ROLE"):
		s.Assignments = append(s.Assignments, Assignment{Name: "role", Value: p.value()})
		return ""
	case p.tok.kind == tokenUser:
		name := strings.ToLower(p.tok.text)
		p.skip()
		if !p.takeAssign() {
			return "Nexus does not understand its assignments"
		}
		s.Assignments = append(s.Assignments, Assignment{User: true, Name: name, Value: p.value()})
		return ""
	}
	a, reason := p.systemVariable()
	if reason != "" {
		return reason
	}
	if !p.takeAssign() {
		return "Nexus does not understand its assignments"
	}
	a.Value = p.value()
	s.Assignments = append(s.Assignments, a)
	if a.Global {
		return "" // see GlobalRefusal
	}
	return variableRefusal(a)
}

// charset takes what follows NAMES or CHARACTER SET.
func (p *parser) charset(s *Statement, name string) string {
	a := Assignment{Name: name, Value: p.value()}
	s.Assignments = append(s.Assignments, a)
	first, _, _ := strings.Cut(a.Value, " ")
	return charsetRefusal(first)
}

// takeAssign takes = or :=.
func (p *parser) takeAssign() bool {
	p.takePunct(':')
	return p.takePunct('=')
}

// systemVariable takes the name of a variable and its scope. GLOBAL as a word of its own is also that of the variables behind
// it that say nothing else.
func (p *parser) systemVariable() (a Assignment, reason string) {
	const unknown = "Nexus does not understand its assignments"
	system := p.tok.kind == tokenSystem
	word := strings.ToLower(p.tok.text)
	if p.tok.kind != tokenWord && p.tok.kind != tokenQuoted && !system {
		return a, unknown
	}
	a.Global = p.global && !system
	p.skip()
	switch word {
	case "persist", "persist_only":
		return a, "it is written into a file of a single backend; use SET GLOBAL"
	case "global", "session", "local":
		if system && !p.takePunct('.') {
			return a, unknown
		}
		a.Global = word == "global"
		if !system {
			p.global = a.Global
		}
		word = strings.ToLower(p.name())
	}
	a.Name = unquote(word)
	if a.Name == "" {
		return a, unknown
	}
	if p.takePunct('.') { // a structured variable, or one of a stored program
		return a, "Nexus does not know the variable " + a.Name
	}
	return a, ""
}

// value takes the text up to the comma, FOR of SET STATEMENT, or the end.
func (p *parser) value() string {
	start, end := p.tok.start, p.tok.start
	var earlier, before token
	for depth := 0; !p.end(); p.skip() {
		switch {
		case p.tok.punct('('):
			depth++
		case p.tok.punct(')'):
			depth--
		case depth == 0 && p.at("FOR") && before.is("VALUE") && (earlier.is("NEXT") || earlier.is("PREVIOUS")): // of a sequence
		case depth == 0 && (p.tok.punct(',') || p.at("FOR")):
			return p.lexer.text[start:end]
		}
		earlier, before, end = before, p.tok, p.tok.end
	}
	return p.lexer.text[start:end]
}

func (p *parser) use(verb string) Statement {
	name := p.name()
	if name == "" || !p.end() {
		return p.malformed(verb, "it names no database")
	}
	return Statement{Kind: Use, Verb: verb, Name: name}
}

// prepare classifies PREPARE name FROM 'text' or @variable.
func (p *parser) prepare(verb string) Statement {
	s := Statement{Kind: Prepare, Verb: verb, Name: p.name()}
	if s.Name == "" || !p.take("FROM") {
		return refuse(verb, "Nexus does not understand it")
	}
	if !isASCII(s.Name) {
		return refuse(verb, reasonName)
	}
	return p.source(s)
}

// source takes the text of a statement to be prepared or executed.
func (p *parser) source(s Statement) Statement {
	literal := p.tok.kind == tokenString
	text := p.tok.text
	s.Behind = p.tok.start
	s.Expression = p.upTo("USING")
	switch {
	case s.Expression == "" || !p.end() && !p.at("USING"):
		return refuse(s.Verb, "Nexus does not understand it")
	case literal && s.Expression == text:
		s.Text, s.Expression = unquote(text), ""
	}
	return s
}

// upTo takes the text up to a word outside of parentheses, or the end.
func (p *parser) upTo(word string) string {
	start, end := p.tok.start, p.tok.start
	for depth := 0; !p.end() && (depth > 0 || !p.at(word)); p.skip() {
		switch {
		case p.tok.punct('('):
			depth++
		case p.tok.punct(')'):
			depth--
		}
		end = p.tok.end
	}
	return p.lexer.text[start:end]
}

// execute classifies EXECUTE name, and MariaDB's EXECUTE IMMEDIATE.
func (p *parser) execute(verb string) Statement {
	if p.take("IMMEDIATE") {
		s := p.source(Statement{Kind: Execute, Verb: "EXECUTE IMMEDIATE"})
		s.Using = p.rest()
		return s
	}
	s := Statement{Kind: Execute, Verb: verb, Name: p.name()}
	s.Using = p.rest()
	switch {
	case s.Name == "":
		return refuse(verb, "it names no prepared statement")
	case !isASCII(s.Name):
		return refuse(verb, reasonName)
	}
	return s
}

// reasonName is for names of prepared statements: to the server they are the same with accents and without.
const reasonName = "the name of a prepared statement must be in ASCII"

func isASCII(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// deallocate classifies DEALLOCATE PREPARE; DROP PREPARE is the same.
func (p *parser) deallocate(verb string) Statement {
	if !p.take("PREPARE") {
		return refuse(verb, "Nexus does not understand it")
	}
	return Statement{Kind: Deallocate, Verb: verb, Name: p.name()}
}
