package statement

// Split cuts the text of a COM_QUERY with CLIENT_MULTI_STATEMENTS at its semicolons. Statements without words are left
// out. The definition of a stored program has semicolons of its own, so it extends to the end of the text.
//
// Each part is to be executed by itself, without CLIENT_MULTI_STATEMENTS: where Split is wrong, the server then refuses
// the part instead of executing something that was not classified.
func Split(text string, d Dialect) []string {
	var parts []string
	l := lexer{text: text, dialect: d}
	start, words := 0, 0
	for {
		t := l.next()
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
			if words == 0 && definesProgram(text[t.start:], d) {
				return append(parts, text[start:])
			}
			words++
		}
	}
}

// definesProgram reports whether text begins with the definition of a stored program or of an anonymous block.
func definesProgram(text string, d Dialect) bool {
	p := newParser(text, d)
	switch {
	case p.startsBlock():
		return true
	case p.take("CREATE"), p.take("ALTER"):
		for range 20 { // OR REPLACE, DEFINER = ..., AGGREGATE, IF NOT EXISTS
			for _, what := range programs {
				if p.at(what) {
					return true
				}
			}
			if p.end() || p.at("TABLE") || p.at("VIEW") {
				return false
			}
			p.skip()
		}
	}
	return false
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

// programs are the objects whose definition is made of statements.
var programs = []string{"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"}
