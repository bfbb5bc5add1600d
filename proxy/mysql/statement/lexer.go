package statement

import "strings"

// tokenKind is what a token is, as far as classification cares.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // keyword or plain identifier
	tokenQuoted           // quoted identifier
	tokenString
	tokenNumber
	tokenUser   // @name
	tokenSystem // @@name, without scope
	tokenOther  // an operator or punctuation, one byte
	tokenBad    // a quote or comment without end
)

// token is a part of the text.
type token struct {
	kind       tokenKind
	text       string // as written; without @ for variables
	start, end int    // in the text
}

// is reports whether the token is the word, which is in upper case.
func (t token) is(word string) bool { return t.kind == tokenWord && strings.EqualFold(t.text, word) }

// punct reports whether the token is the punctuation c.
func (t token) punct(c byte) bool { return t.kind == tokenOther && t.text[0] == c }

// lexer cuts a text into tokens, as the server's own does.
type lexer struct {
	text    string
	dialect Dialect
	pos     int
	// inside is set in an executable comment, whose end is not punctuation.
	inside bool
}

// next returns the next token. Comments are skipped, but for those whose content is executed.
func (l *lexer) next() token {
	for {
		l.skipSpace()
		if l.pos >= len(l.text) {
			return token{kind: tokenEnd, start: l.pos, end: l.pos}
		}
		if l.inside && strings.HasPrefix(l.text[l.pos:], "*/") {
			l.inside = false
			l.pos += 2
			continue
		}
		start := l.pos
		switch skipped, ok := l.skipComment(); {
		case !ok:
			l.pos = len(l.text)
			return token{kind: tokenBad, text: l.text[start:], start: start, end: l.pos}
		case skipped:
			continue
		}
		return l.token()
	}
}

func (l *lexer) skipSpace() {
	for l.pos < len(l.text) && isSpace(l.text[l.pos]) {
		l.pos++
	}
}

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

// skipComment skips a comment that starts here, or the head of one that is executed. ok is false for one without end.
func (l *lexer) skipComment() (skipped, ok bool) {
	rest := l.text[l.pos:]
	switch {
	case rest[0] == '#':
	case strings.HasPrefix(rest, "--") && (len(rest) == 2 || rest[2] <= ' ' || rest[2] == 0x7f):
	case strings.HasPrefix(rest, "/*"):
		return true, l.skipBlock(rest)
	default:
		return false, true
	}
	if end := strings.IndexByte(rest, '\n'); end >= 0 {
		l.pos += end + 1
	} else {
		l.pos = len(l.text)
	}
	return true, true
}

func (l *lexer) skipBlock(rest string) (ok bool) {
	if head, executed := l.executable(rest); executed {
		l.inside = true
		l.pos += head
		return true
	}
	end := strings.Index(rest[2:], "*/")
	if end < 0 {
		return false
	}
	l.pos += 2 + end + 2
	return true
}

// executable reports whether the server executes the comment at the beginning of rest, and how long its head is.
//
// MySQL: /*! and /*!NNNNN, where the version is not later than the server's. MariaDB: the same, but versions from 50700
// to 99999 are of features that only MySQL has; and /*M!, which MySQL does not know.
func (l *lexer) executable(rest string) (head int, executed bool) {
	switch {
	case strings.HasPrefix(rest, "/*!"):
		head = 3
	case strings.HasPrefix(rest, "/*M!") && l.dialect.MariaDB:
		head = 4
	default:
		return 0, false
	}
	digits, version := 0, 0
	for digits < 6 && head+digits < len(rest) && isDigit(rest[head+digits]) {
		version = version*10 + int(rest[head+digits]-'0')
		digits++
	}
	switch {
	case digits < 5:
		return head, true // what looks like a number is content
	case version > l.dialect.Version:
		return 0, false
	case l.dialect.MariaDB && version >= 50700 && version <= 99999:
		return 0, false
	}
	return head + digits, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWordByte reports whether c may stand in an identifier. Bytes above 0x7f do in every character set of the server.
func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}

func (l *lexer) token() token {
	c := l.text[l.pos]
	switch {
	case c == '\'':
		return l.quoted(tokenString, c)
	case c == '"' && l.dialect.AnsiQuotes, c == '`':
		return l.quoted(tokenQuoted, c)
	case c == '"':
		return l.quoted(tokenString, c)
	case c == '@':
		return l.variable()
	case isDigit(c), c == '.' && l.pos+1 < len(l.text) && isDigit(l.text[l.pos+1]) && !l.afterName():
		return l.number()
	case isWordByte(c):
		return l.word(l.pos)
	}
	t := token{kind: tokenOther, text: l.text[l.pos : l.pos+1], start: l.pos, end: l.pos + 1}
	l.pos++
	return t
}

// afterName reports whether the byte before is the end of a name, so that a dot belongs to a qualified one.
func (l *lexer) afterName() bool {
	return l.pos > 0 && (isWordByte(l.text[l.pos-1]) || l.text[l.pos-1] == '`')
}

func (l *lexer) word(start int) token {
	for l.pos < len(l.text) && isWordByte(l.text[l.pos]) {
		l.pos++
	}
	return token{kind: tokenWord, text: l.text[start:l.pos], start: start, end: l.pos}
}

// number takes digits and what is stuck to them: 1e5, 0x1f, and identifiers that begin with a digit.
func (l *lexer) number() token {
	start, digits := l.pos, true
	for l.pos < len(l.text) && (isWordByte(l.text[l.pos]) || l.text[l.pos] == '.') {
		digits = digits && (isDigit(l.text[l.pos]) || l.text[l.pos] == '.')
		l.pos++
	}
	t := token{kind: tokenNumber, text: l.text[start:l.pos], start: start, end: l.pos}
	if !digits && !numeric(t.text) {
		t.kind = tokenWord
	}
	return t
}

// numeric reports whether a word that begins with a digit is a number.
func numeric(s string) bool {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'b') {
		return true
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	return strings.Trim(mantissa, "0123456789.") == "" && strings.Trim(exponent, "0123456789") == ""
}

// quoted takes a string or identifier in quotes: doubled quotes stand for one, and in strings a backslash escapes.
func (l *lexer) quoted(kind tokenKind, quote byte) token {
	start := l.pos
	for i := l.pos + 1; i < len(l.text); i++ {
		switch {
		case l.text[i] == '\\' && kind == tokenString && !l.dialect.NoBackslashEscapes:
			i++
		case l.text[i] != quote:
		case i+1 < len(l.text) && l.text[i+1] == quote:
			i++
		default:
			l.pos = i + 1
			return token{kind: kind, text: l.text[start:l.pos], start: start, end: l.pos}
		}
	}
	l.pos = len(l.text)
	return token{kind: tokenBad, text: l.text[start:], start: start, end: l.pos}
}

// variable takes @name, @'name', @`name` and @@name.
func (l *lexer) variable() token {
	start, kind := l.pos, tokenUser
	l.pos++
	if l.pos < len(l.text) && l.text[l.pos] == '@' {
		kind = tokenSystem
		l.pos++
	}
	if l.pos >= len(l.text) {
		return token{kind: tokenOther, text: "@", start: start, end: l.pos}
	}
	var name token
	switch c := l.text[l.pos]; c {
	case '\'', '"', '`':
		name = l.quoted(tokenQuoted, c)
		if name.kind == tokenBad {
			return name
		}
	default:
		from := l.pos
		for l.pos < len(l.text) && (isWordByte(l.text[l.pos]) || l.text[l.pos] == '.' && kind == tokenUser) {
			l.pos++
		}
		name = token{text: l.text[from:l.pos]}
	}
	return token{kind: kind, text: unquote(name.text), start: start, end: l.pos}
}

// unquote returns what quotes stand around, with doubled quotes and backslashes resolved; text without quotes as it is.
func unquote(s string) string {
	if len(s) < 2 {
		return s
	}
	quote := s[0]
	if quote != '\'' && quote != '"' && quote != '`' || s[len(s)-1] != quote {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, quote) < 0 && (quote == '`' || strings.IndexByte(s, '\\') < 0) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
			b.WriteByte(quote)
		case s[i] == '\\' && quote != '`' && i+1 < len(s):
			i++
			b.WriteByte(unescape(s[i]))
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// unescape returns what a backslash and c stand for in a string literal.
func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'b':
		return '\b'
	case '0':
		return 0
	case 'Z':
		return 26
	}
	return c
}

func upper(s string) string { return strings.ToUpper(s) }
