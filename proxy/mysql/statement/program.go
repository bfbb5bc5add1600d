package statement

// program finds the end of the definition of a stored program, or of a block, in a text of several statements: its statements
// have semicolons of their own. Where it is wrong the server refuses the part that it has cut off.
type program struct {
	open   []opened // what END has not closed yet
	begun  bool     // the body has begun that has an END
	starts bool     // the next token begins a statement
	named  bool     // it is a procedure
	typed  bool     // it is a function of which the type was said, but not yet what it returns
	before token    // the last one
	oracle bool     // the mode ORACLE has declarations before BEGIN, LOOP behind FOR and WHILE, and labels in <<>>
	label  bool     // in such a label
	handle bool     // behind HANDLER: the next BEGIN is of that
}

// opened says what is open: an expression of CASE has words that begin statements elsewhere.
type opened int

const (
	statements opened = iota
	expression
	declarations // up to BEGIN
)

// ends reports whether t, before next, is the semicolon that ends the program.
func (p *program) ends(t, next token) bool {
	if t.punct(';') {
		p.starts, p.handle = true, false
		return len(p.open) == 0
	}
	starts := p.starts || p.opensBody()
	if p.label = p.label || p.oracle && starts && t.punct('<'); p.label {
		p.label = !t.punct('>') || !p.before.punct('>')
		p.starts, p.before = true, t
		return false
	}
	p.starts, p.before = false, t
	if t.punct(':') {
		p.starts = true // behind a label
	}
	if t.kind != tokenWord {
		return false
	}
	switch upper(t.text) {
	case "BEGIN", "LOOP":
		if n := len(p.open); n > 0 && p.open[n-1] == declarations && !p.handle {
			p.open[n-1] = statements
		} else {
			p.push(statements)
		}
		p.starts, p.handle = true, false
	case "HANDLER":
		p.handle = true
	case "DECLARE", "AS", "IS":
		if p.oracle && (t.is("DECLARE") && starts || !t.is("DECLARE") && !p.begun) {
			p.push(declarations)
			p.starts = true
		}
	case "NOT", "ATOMIC": // behind BEGIN
		p.starts = starts
	case "WHILE":
		if !p.oracle {
			p.push(statements)
		}
	case "REPEAT":
		if starts || !p.begun && !next.punct('(') {
			p.push(statements)
			p.starts = true
		}
	case "FOR": // not that of SELECT, nor FOR EACH ROW
		if starts && !next.is("UPDATE") && !p.oracle {
			p.push(statements)
		}
	case "IF":
		if starts || !next.punct('(') && !next.is("EXISTS") && !next.is("NOT") {
			p.push(statements)
		}
	case "CASE":
		what := statements
		if p.begun && !starts {
			what = expression
		}
		p.push(what)
	case "PROCEDURE":
		p.named = true
	case "RETURNS":
		p.typed = !p.named
	case "RETURN":
		p.typed = false
	case "ROW": // FOR EACH ROW
		p.starts = !p.begun
	case "THEN", "ELSE", "DO":
		p.starts = len(p.open) == 0 || p.open[len(p.open)-1] == statements
	case "END":
		if n := len(p.open); n > 0 {
			p.open = p.open[:n-1]
		}
	}
	return false
}

// opensBody reports whether the body of a procedure or function may begin behind the last token: its parameters, its type, or what else is said
// of it before.
func (p *program) opensBody() bool {
	if !p.named || p.begun {
		return p.typed && !p.begun
	}
	switch p.before.kind {
	case tokenString: // of COMMENT
		return true
	case tokenOther:
		return p.before.punct(')')
	case tokenWord:
		switch upper(p.before.text) {
		case "SQL", "DATA", "DETERMINISTIC", "DEFINER", "INVOKER":
			return true
		}
	}
	return false
}

func (p *program) push(what opened) {
	p.begun = true
	p.open = append(p.open, what)
}

// closes reports whether a word behind END belongs to it.
func closes(t token) bool {
	for _, word := range []string{"IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"} {
		if t.is(word) {
			return true
		}
	}
	return false
}

// programEnd goes on to the semicolon behind the program that l is in, of which t is the first token, and to the token behind it,
// and returns the semicolon; the end of the text without one.
func programEnd(l *lexer, t token) token {
	p := program{starts: true, oracle: l.dialect.Oracle}
	for t.kind != tokenEnd && t.kind != tokenBad {
		inside := l.inside // of a comment that is executed, t is
		next := l.next()
		if !inside && p.ends(t, next) {
			return t
		}
		if t.is("END") && closes(next) {
			next = l.next()
		}
		t = next
	}
	return t
}
