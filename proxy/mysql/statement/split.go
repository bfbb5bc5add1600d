package statement

import "strings"

// Split cuts the text of a COM_QUERY with CLIENT_MULTI_STATEMENTS at its semicolons. Statements without words are left
// out. The definition of a stored program has semicolons of its own; that of a package extends to the end of the text.
//
// Each part is to be executed by itself, without CLIENT_MULTI_STATEMENTS: where Split is wrong, the server then refuses
// the part instead of executing something that was not classified.
func Split(text string, d Dialect) []string {
	var parts []string
	l := lexer{text: text, dialect: d}
	start, words := 0, 0
	for {
		t := l.next()
		if words == 0 && !l.inside {
			switch program, pack := definesProgram(text[t.start:], d); {
			case pack:
				return append(parts, text[start:])
			case program:
				words++
				rest := l
				l.pos = programEnd(&rest, t).start
				continue
			}
		}
		switch {
		case t.kind == tokenEnd || t.kind == tokenBad:
			if words > 0 || t.kind == tokenBad {
				parts = append(parts, text[start:])
			}
			return parts
		case t.punct(';') && !l.inside:
			if words > 0 {
				parts = append(parts, text[start:t.start])
			}
			start, words = t.end, 0
		default:
			words++
		}
	}
}

// definesProgram reports whether text begins with the definition of a stored program or of an anonymous block, and whether that
// is a package of them.
func definesProgram(text string, d Dialect) (program, pack bool) {
	p := newParser(text, d)
	if p.take("SET", "STATEMENT") {
		for !p.end() && !p.take("FOR") {
			p.skip()
		}
	}
	switch {
	case p.startsBlock():
		return true, false
	case p.take("CREATE"), p.take("ALTER"):
		for range 20 { // OR REPLACE, DEFINER = ..., AGGREGATE, IF NOT EXISTS
			if p.at("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE") {
				return true, p.at("PACKAGE")
			}
			if p.end() || p.at("TABLE") || p.at("VIEW") {
				return false, false
			}
			p.skip()
		}
	}
	return false, false
}

// WithValue returns text with a value in the place of each parameter.
func WithValue(text string, d Dialect, value string) string {
	var out strings.Builder
	done := 0
	for p := newParser(text, d); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; p.skip() {
		if p.tok.punct('?') {
			out.WriteString(text[done:p.tok.start] + value)
			done = p.tok.end
		}
	}
	return out.String() + text[done:]
}

// MentionsWord reports whether a word, in upper case, stands in a part of a statement.
func MentionsWord(text string, d Dialect, word string) bool {
	for p := newParser(text, d); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; p.skip() {
		if p.tok.is(word) {
			return true
		}
	}
	return false
}

// AsksFor reports whether a function of the server, in upper case, is called in a part of a statement.
func AsksFor(text string, d Dialect, function string) bool {
	for p := newParser(text, d); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; p.skip() {
		if q := *p; q.take(function) && q.tok.punct('(') {
			return true
		}
	}
	return false
}
