package statement

import (
	"strings"
	"unicode/utf8"
)

// Programs may execute texts that they make up (PREPARE, EXECUTE). What such a text says is known only when it is executed, so it
// has to be known before which programs do that, and who calls them.

// ExecutesTexts reports whether a program prepares or executes a text.
func ExecutesTexts(body string, d Dialect) bool {
	p := newParser(body, d)
	for before := (token{}); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; {
		t := p.tok
		p.skip()
		named := p.tok.kind == tokenQuoted || p.tok.kind == tokenWord && !p.at("FROM", "ON") // which are reserved
		if named && !before.punct('.') && (t.is("EXECUTE") || t.is("PREPARE") && (!before.is("DEALLOCATE") && !before.is("DROP") || p.namesSource())) {
			return true
		}
		before = t
	}
	return false
}

// namesSource reports whether a name and FROM stand here: behind a handler's condition, PREPARE may follow one that is called DEALLOCATE.
func (p *parser) namesSource() bool {
	q := *p
	return q.name() != "" && q.at("FROM")
}

// ReachesPast says why a program, as CREATE PROCEDURE has its body, would reach past the transaction that it is called in; "" if it
// does not, but for what it makes up as a text.
func ReachesPast(body string, d Dialect) string {
	return newParser(body, d).besideTransaction()
}

// Names are the names that stand in a text, in lower case: whatever it calls is among them.
type Names map[string]struct{}

// anyName stands for names in which the server may find another one: it compares those of programs without looking at accents.
const anyName = ""

// ReadNames returns those of a text.
func ReadNames(text string, d Dialect) Names {
	names := make(Names)
	for p := newParser(text, d); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; p.skip() {
		switch p.tok.kind {
		case tokenWord, tokenQuoted, tokenNumber:
		default:
			continue
		}
		name := FoldName(unquote(p.tok.text))
		if !isASCII(name) {
			names[anyName] = struct{}{}
		}
		names[name] = struct{}{}
	}
	return names
}

// ReadCalled returns the names of what a text calls, and those of its databases: what stands behind the word CALL. In the mode ORACLE a name is enough to call,
// so these are all that stand in it.
func ReadCalled(text string, d Dialect) Names {
	if d.Oracle {
		return ReadNames(text, d)
	}
	names := make(Names)
	for p := newParser(text, d); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; {
		if !p.take("CALL") {
			p.skip()
			continue
		}
		for q, more := *p, true; more; more = q.takePunct('.') {
			name := FoldName(q.name())
			if name == "" {
				break
			}
			if !isASCII(name) {
				names[anyName] = struct{}{}
			}
			names[name] = struct{}{}
		}
	}
	return names
}

// FoldName returns a name as Names has it: the server takes no notice of case, nor of spaces at the end.
func FoldName(name string) string { return strings.ToLower(strings.TrimRight(name, " ")) }

// Any reports whether any name may be meant.
func (n Names) Any() bool {
	_, ok := n[anyName]
	return ok
}

// Has reports whether a name may stand in the text.
func (n Names) Has(name string) bool {
	if n.Any() {
		return true
	}
	name = FoldName(name)
	if _, ok := n[name]; ok || isASCII(name) {
		return ok
	}
	for said := range n {
		if mayBe(said, name) {
			return true
		}
	}
	return false
}

// mayBe reports whether the server may find name, which is not all in ASCII, where a text says another one: a letter with an accent is
// the one without to it.
func mayBe(said, name string) bool {
	letters := []rune(name)
	if len(said) != len(letters) {
		return false
	}
	for i, letter := range letters {
		if letter < utf8.RuneSelf && letter != rune(said[i]) {
			return false
		}
	}
	return true
}
