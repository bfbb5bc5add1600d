package statement

import "strings"

// parser looks at the tokens of one statement, one ahead.
type parser struct {
	lexer  lexer
	tok    token
	global bool // the scope of SET that was said last

	defines *Definer // of what is created or altered
}

func newParser(text string, d Dialect) *parser {
	p := &parser{lexer: lexer{text: text, dialect: d}}
	p.skip()
	return p
}

// skip goes on to the next token.
func (p *parser) skip() { p.tok = p.lexer.next() }

// end reports whether nothing of the statement is left.
func (p *parser) end() bool {
	return p.tok.kind == tokenEnd || p.tok.kind == tokenBad || p.tok.punct(';') && !p.lexer.inside
}

// at reports whether the next token is one of words.
func (p *parser) at(words ...string) bool {
	for _, w := range words {
		if p.tok.is(w) {
			return true
		}
	}
	return false
}

// take skips the words if they come next, and reports that.
func (p *parser) take(words ...string) bool {
	saved := *p
	for _, w := range words {
		if !p.tok.is(w) {
			*p = saved
			return false
		}
		p.skip()
	}
	return true
}

func (p *parser) takePunct(c byte) bool {
	if p.tok.kind != tokenOther || p.tok.text[0] != c {
		return false
	}
	p.skip()
	return true
}

// name takes an identifier, quoted or not.
func (p *parser) name() string {
	switch p.tok.kind {
	case tokenWord, tokenQuoted, tokenNumber:
		name := unquote(p.tok.text)
		p.skip()
		return name
	}
	return ""
}

// find skips tokens outside of parentheses until one of words comes, and reports whether it did.
func (p *parser) find(words ...string) bool {
	for depth := 0; !p.end(); p.skip() {
		switch {
		case p.tok.punct('('):
			depth++
		case p.tok.punct(')'):
			depth--
		case depth == 0 && p.at(words...):
			return true
		}
	}
	return false
}

// calls returns the first of functions, in upper case, that the rest of the statement calls: the word, quoted or not, with a
// parenthesis behind it and no dot before it. It looks at a copy: p stays where it is.
func (p *parser) calls(functions ...string) string {
	q := *p
	for qualified := false; !q.end(); {
		t := q.tok
		q.skip()
		if (t.kind == tokenWord || t.kind == tokenQuoted) && !qualified && q.tok.punct('(') {
			called := unquote(t.text)
			for _, f := range functions {
				if strings.EqualFold(called, f) {
					return f
				}
			}
		}
		qualified = t.punct('.')
	}
	return ""
}

// has reports whether the words follow each other anywhere in the rest of the statement. p stays where it is.
func (p *parser) has(words ...string) bool {
	for q := *p; !q.end(); q.skip() {
		if q.take(words...) {
			return true
		}
	}
	return false
}

// rest returns the text of the statement from the next token on.
func (p *parser) rest() string {
	q := *p
	start, end := q.tok.start, q.tok.start
	for !q.end() {
		end = q.tok.end
		q.skip()
	}
	return q.lexer.text[start:end]
}
