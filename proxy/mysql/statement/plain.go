package statement

import "strings"

// Plain returns what the server reads of text: its tokens with one space between them, without comments and what literals say,
// and names that are quoted, in whichever way, in backquotes. Whoever looks for a name in a statement finds it there, however
// it was written.
func Plain(text string, d Dialect) string {
	var out strings.Builder
	for p := newParser(text, d); p.tok.kind != tokenEnd && p.tok.kind != tokenBad; p.skip() {
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		switch p.tok.kind {
		case tokenQuoted:
			out.WriteString("`" + strings.ReplaceAll(unquote(p.tok.text), "`", "``") + "`")
		case tokenString:
			out.WriteString("''")
		case tokenUser, tokenSystem:
			out.WriteByte('@')
		default:
			out.WriteString(p.tok.text)
		}
	}
	return out.String()
}
