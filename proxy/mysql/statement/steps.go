package statement

import (
	"slices"
	"strings"
)

// Step is a statement of a program that cannot be executed where the program is: it ends the transaction, or changes the schema, and maybe fills
// a table; or it executes a text that has to be looked at before; or it calls a procedure, which may do so.
type Step struct {
	// What it is: DDL, CreateSelect, Begin, Commit, Rollback, Prepare or Execute; or Write, of a CALL.
	What Statement
	// Text of the statement, without its semicolon.
	Text string
	// Source is the expression that Prepare and Execute have the text from, as written; "" for a statement that was prepared. Using
	// follows it: the word and the parameters.
	Source, Using string
	// Call is what a CALL says; nil in other steps.
	Call *Call
	// Made is set for one that a program has made up as a text.
	Made bool

	start, end int // in the program
}

// Program is the body of a procedure, with its steps.
type Program struct {
	Steps []Step
	// Calls is set where it calls others.
	Calls bool
	// Texts is set where it prepares or executes texts.
	Texts bool
	// Autocommit is set where it sets autocommit.
	Autocommit bool
	body       string
	// makes is set where it makes tables for the session alone.
	makes bool
}

// ReadProgram finds the steps of a body. The reason says why a program that has some cannot be executed with them.
func ReadProgram(body string, d Dialect) (program Program, reason string) {
	r := programReader{parser: *newParser(body, d)}
	r.body = body
	r.read()
	return r.Program, r.reason
}

// HasSteps reports whether a block, as a client sends it, has steps other than calls, or sets autocommit.
func HasSteps(block string, d Dialect) bool {
	program, _ := ReadProgram(block, d)
	return program.Stepped() || program.Autocommit
}

// Stepped reports whether a program has steps other than calls.
func (p *Program) Stepped() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Call == nil })
}

// MayMakeTemporary reports whether it makes temporary tables, or executes what may make some.
func (p *Program) MayMakeTemporary() bool { return p.makes || p.Calls || p.Texts }

// Replaced returns the body with others in the place of the steps.
func (p *Program) Replaced(with func(i int, s *Step) string) string {
	var out strings.Builder
	done := 0
	for i := range p.Steps {
		s := &p.Steps[i]
		out.WriteString(p.body[done:s.start])
		out.WriteString(with(i, s))
		done = s.end
	}
	out.WriteString(p.body[done:])
	return out.String()
}

type programReader struct {
	parser
	Program
	reason string
}

// read looks at what may be the beginning of a statement: behind a semicolon, and behind the words that statements stand
// behind. Some of these are also of expressions (CASE ... THEN), where none of the words can follow that begin a step.
func (r *programReader) read() {
	begins := true
	for r.tok.kind != tokenEnd && r.tok.kind != tokenBad {
		if begins {
			if q := r.parser; q.label() {
				r.parser = q
				continue
			}
			if r.handler() {
				continue
			}
			if r.step() || r.take("DEALLOCATE", "PREPARE") || r.take("DROP", "PREPARE") {
				begins = false
				continue
			}
		}
		if r.at("PREPARE", "EXECUTE") || !begins && r.at("CALL") { // behind SET STATEMENT ... FOR, say
			r.refuse(upper(r.tok.text) + " stands in it")
		}
		r.Calls = r.Calls || r.at("CALL")
		begins = r.tok.punct(';') || r.at("BEGIN", "ATOMIC", "THEN", "ELSE", "LOOP", "REPEAT", "DO")
		r.skip()
	}
}

// handler takes DECLARE ... HANDLER FOR and its conditions, behind which a statement stands.
func (r *programReader) handler() bool {
	q := r.parser
	if !q.take("DECLARE") || !q.take("CONTINUE") && !q.take("EXIT") && !q.take("UNDO") || !q.take("HANDLER", "FOR") {
		return false
	}
	for more := true; more; more = q.takePunct(',') {
		switch {
		case q.take("NOT", "FOUND"):
		case q.take("SQLSTATE"):
			q.take("VALUE")
			q.skip()
		default:
			q.skip()
		}
	}
	r.parser = q
	return true
}

// step takes a statement that is a step, or that does not go with steps.
func (r *programReader) step() bool {
	switch verb := upper(r.tok.text); verb {
	case "CREATE", "ALTER", "DROP", "RENAME", "GRANT", "REVOKE", "TRUNCATE", "OPTIMIZE", "REPAIR", "ANALYZE", "FLUSH", "COMMIT", "ROLLBACK", "START",
		"PREPARE", "EXECUTE":
	case "CALL":
		return r.callStep()
	case "SET":
		if q := r.parser; q.take("SET") && q.setsAutocommit() {
			r.Autocommit = true
			r.refuse("it sets autocommit")
		}
		return false
	default:
		return false
	}
	if q := r.parser; r.tok.kind != tokenWord || r.lexer.inside || q.call() {
		return false
	}
	s, q := r.statement()
	switch s.What.Kind {
	case Commit, Rollback, Begin:
		if s.What.Chain || s.What.Release || s.What.Snapshot || s.What.Access == ReadOnly {
			r.refuse(s.What.Verb + " says more than that")
		}
	case DDL:
	case Prepare, Execute:
		r.Texts = true
		s.readSource(r.lexer.dialect)
	case CreateSelect:
	case Refused, Flush:
		r.refuse(s.What.Verb + " stands in it")
	case Temporary:
		r.makes = true
		return false
	default: // a savepoint, or no statement at all
		return false
	}
	r.Steps = append(r.Steps, s)
	r.parser = q
	return true
}

// statement returns the one that begins here as a step, and where it ends.
func (r *programReader) statement() (s Step, behind parser) {
	s = Step{start: r.tok.start, end: r.tok.end}
	q := r.parser
	for ; q.tok.kind != tokenEnd && q.tok.kind != tokenBad && !q.tok.punct(';'); q.skip() {
		s.end = q.tok.end
	}
	s.Text = r.body[s.start:s.end]
	s.What = Classify(s.Text, r.lexer.dialect)
	return s, q
}

// callStep takes a CALL that is understood.
func (r *programReader) callStep() bool {
	if r.tok.kind != tokenWord || r.lexer.inside {
		return false
	}
	s, behind := r.statement()
	said, ok := ReadCall(s.Text, r.lexer.dialect)
	if !ok || s.What.Kind != Write {
		return false
	}
	s.Call = &said
	r.Calls = true
	r.Steps = append(r.Steps, s)
	r.parser = behind
	return true
}

// readSource finds where PREPARE and EXECUTE have their text from.
func (s *Step) readSource(d Dialect) {
	if s.What.Behind == 0 {
		return // of a statement that was prepared
	}
	p := newParser(s.Text[s.What.Behind:], d)
	s.Source = p.upTo("USING")
	s.Using = p.rest()
}

// call takes a word and the parenthesis of a function's arguments.
func (p *parser) call() bool {
	p.skip()
	return p.takePunct('(')
}

// setsAutocommit reports whether SET, of which the assignments are next, sets autocommit.
func (p *parser) setsAutocommit() bool {
	for ; !p.end(); p.skip() {
		if p.variable("AUTOCOMMIT") {
			return true
		}
	}
	return false
}

func (r *programReader) refuse(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
}

// Call is what CALL says.
type Call struct {
	Database, Name string // Database is empty where the default one is meant
	Arguments      []string

	start, end int // of the name
}

// Renamed returns the text that ReadCall has read, with another name.
func (c *Call) Renamed(text, name string) string { return text[:c.start] + name + text[c.end:] }

// ReadCall reads CALL name [(arguments)]. ok is false where it says anything else, or has parameters of a prepared statement.
func ReadCall(text string, d Dialect) (c Call, ok bool) { return readCall(text, d, false) }

// ReadPreparedCall is ReadCall for what may have such parameters.
func ReadPreparedCall(text string, d Dialect) (c Call, ok bool) { return readCall(text, d, true) }

func readCall(text string, d Dialect, prepared bool) (c Call, ok bool) {
	p := newParser(text, d)
	if !p.take("CALL") {
		return c, false
	}
	c.start, c.end = p.tok.start, p.tok.end
	if c.Name = p.name(); p.takePunct('.') {
		c.start, c.end = p.tok.start, p.tok.end
		c.Database, c.Name = c.Name, p.name()
	}
	if c.Name == "" || p.lexer.inside {
		return c, false
	}
	if p.end() {
		return c, true
	}
	if !p.takePunct('(') {
		return c, false
	}
	start, end := p.tok.start, p.tok.start
	for depth := 0; !p.end() && !p.lexer.inside && (prepared || !p.tok.punct('?')); p.skip() { // not in a comment that one argument opens and another one closes
		switch {
		case p.tok.punct('('):
			depth++
		case depth > 0 && p.tok.punct(')'):
			depth--
		case depth == 0 && (p.tok.punct(',') || p.tok.punct(')')):
			if end > start || len(c.Arguments) > 0 || p.tok.punct(',') {
				c.Arguments = append(c.Arguments, strings.TrimSpace(text[start:end]))
			}
			if p.takePunct(')') {
				return c, p.end() && !p.lexer.inside
			}
			start = p.tok.end
		}
		end = p.tok.end
	}
	return c, false
}

// CallUsing returns the CALL that EXECUTE is of one that was prepared: with the values that follow the word USING, if there are any, in the place of the parameters. ok is
// false where it says anything else.
func CallUsing(prepared, using string, d Dialect) (text string, ok bool) {
	var values []string
	if u := newParser(using, d); u.take("USING") {
		if values = u.list(); values == nil {
			return "", false
		}
	}
	var out strings.Builder
	done := 0
	p := newParser(prepared, d)
	for ; !p.end(); p.skip() {
		if !p.tok.punct('?') {
			continue
		}
		if len(values) == 0 || p.lexer.inside {
			return "", false
		}
		value := values[0]
		if values = values[1:]; !IsUserVariable(value, d) {
			value = "(" + value + ")"
		}
		out.WriteString(prepared[done:p.tok.start] + value)
		done = p.tok.end
	}
	out.WriteString(prepared[done:])
	return out.String(), p.tok.kind != tokenBad && len(values) == 0
}

// list takes expressions with commas between; none where what stands there is not as many expressions.
func (p *parser) list() (items []string) {
	for {
		start, end, depth := p.tok.start, p.tok.start, 0
		for ; !p.end() && (depth > 0 || !p.tok.punct(',')); p.skip() {
			switch {
			case p.lexer.inside || p.at("DEFAULT", "IGNORE"):
				return nil
			case p.tok.punct('('):
				depth++
			case p.tok.punct(')'):
				depth--
			}
			if depth < 0 {
				return nil
			}
			end = p.tok.end
		}
		if start == end || depth != 0 || p.tok.kind == tokenBad {
			return nil
		}
		items = append(items, p.lexer.text[start:end])
		if !p.takePunct(',') {
			return items
		}
	}
}

// IsPlain reports whether an argument is a number, a word, a variable that the client has made or a literal, which means the same in each sql_mode and
// character set.
func IsPlain(argument string, d Dialect) bool {
	if !isASCII(argument) || strings.ContainsAny(argument, "\"\\") {
		return false
	}
	p := newParser(argument, d)
	if !p.takePunct('-') {
		p.takePunct('+')
	}
	switch p.tok.kind {
	case tokenWord, tokenNumber, tokenUser, tokenString:
		p.skip()
		return p.tok.kind == tokenEnd
	}
	return false
}

// IsUserVariable reports whether an argument is a variable of the session and nothing else.
func IsUserVariable(argument string, d Dialect) bool {
	p := newParser(argument, d)
	if p.tok.kind != tokenUser {
		return false
	}
	p.skip()
	return p.tok.kind == tokenEnd
}
