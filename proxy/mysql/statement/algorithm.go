package statement

import "strings"

// ByDefaultAlgorithm returns ALTER TABLE, CREATE INDEX or DROP INDEX without what makes its outcome depend on how a server holds
// the table: DEFAULT stands in the place of what follows ALGORITHM and LOCK, and of what SET STATEMENT has for alter_algorithm;
// ONLINE, which is LOCK=NONE in other words, is left out. A table that was filled from a snapshot is held otherwise than one that was
// altered: one server would do what another one refuses, and the tables would differ. Other statements are returned as they are.
func (s *Statement) ByDefaultAlgorithm(text string, d Dialect) string {
	switch s.Verb {
	case "ALTER TABLE", "CREATE INDEX", "DROP INDEX":
	default:
		return text
	}
	var out strings.Builder
	from := 0
	replace := func(t token, by string) {
		out.WriteString(text[from:t.start])
		out.WriteString(by)
		from = t.end
	}
	var before token
	begun := false // what SET STATEMENT says comes before
	for p := newParser(text, d); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; p.skip() {
		begun = begun || p.at("ALTER", "CREATE", "DROP")
		switch {
		case p.at("ALTER_ALGORITHM") && !begun:
			if p.skip(); p.tok.punct('=') {
				p.skip()
			}
			replace(p.tok, "'DEFAULT'")
		case p.at("ONLINE") && (before.is("ALTER") || before.is("CREATE") || before.is("DROP")):
			replace(p.tok, "")
		case p.at("ALGORITHM", "LOCK") && !namesColumn(before):
			q := *p
			is := q.tok
			q.skip()
			if q.tok.punct('=') {
				q.skip()
			}
			if is.is("LOCK") && q.at("NONE", "SHARED", "EXCLUSIVE") || is.is("ALGORITHM") && q.at("INPLACE", "COPY", "INSTANT", "NOCOPY") {
				replace(q.tok, "DEFAULT")
				*p = q
			}
		}
		before = p.tok
	}
	out.WriteString(text[from:])
	return out.String()
}

// namesColumn reports whether the next word is the name of a column or an index, which may be ALGORITHM.
func namesColumn(before token) bool {
	for _, word := range []string{"CHANGE", "COLUMN", "RENAME", "TO", "EXISTS", "KEY", "INDEX"} {
		if before.is(word) {
			return true
		}
	}
	return false
}
