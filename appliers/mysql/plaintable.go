package mysql

import (
	"errors"
	"regexp"
	"strings"
)

// executedComment is what the server puts around what others do not know.
var executedComment = regexp.MustCompile(`^/\*(!50[0-6][0-9][0-9]|M!100[0-9][0-9][0-9]) `)

var errNotPlain = errors.New("its definition in the snapshot is not only that of this table: nothing of it is executed; take a new snapshot or backup with this program, " +
	"or give its foreign keys other names")

// plainTable refuses the definition of a table that does more than to make it. One whose names were not quoted as they have to be may do so.
func plainTable(o *object) error {
	const create = "CREATE TABLE "
	text := o.text()
	if !strings.HasPrefix(text, create+"`") {
		return errNotPlain
	}
	end := quotedEnd(text, len(create))
	if end < 0 || !strings.HasPrefix(text[end:], " (\n") {
		return errNotPlain
	}
	if named := strings.ReplaceAll(text[len(create)+1:end-1], "``", "`"); !strings.HasSuffix(o.Name, "."+named) {
		return errNotPlain
	}
	if !onlyDeclares(text[end:]) {
		return errNotPlain
	}
	return nil
}

// unquoted returns text with dots in the place of whatever is quoted.
func unquoted(text string) string {
	bare := []byte(text)
	for i := 0; i < len(text); i++ {
		if c := text[i]; c != '`' && c != '\'' && c != '"' {
			continue
		}
		end := quotedEnd(text, i)
		if end < 0 {
			break
		}
		for j := i; j < end; j++ {
			bare[j] = '.'
		}
		i = end - 1
	}
	return string(bare)
}

// onlyDeclares reports whether text has no query in it, nothing that another statement may begin behind, and no comment that would hide the rest.
func onlyDeclares(text string) bool {
	depth, inComment := 0, false
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '`' || c == '\'' || c == '"':
			if i = quotedEnd(text, i); i < 0 {
				return false
			}
			continue
		case c == '#' || c == ';' || c == 0 || strings.HasPrefix(text[i:], "--") && (i+2 == len(text) || text[i+2] <= ' '):
			return false
		case strings.HasPrefix(text[i:], "/*"):
			opening := executedComment.FindString(text[i:])
			if opening == "" || inComment {
				return false
			}
			inComment = true
			i += len(opening)
			continue
		case strings.HasPrefix(text[i:], "*/"):
			if !inComment {
				return false
			}
			inComment = false
			i += 2
			continue
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return false
			}
		case inWord(c):
			end := i
			for end < len(text) && inWord(text[end]) {
				end++
			}
			word := strings.ToUpper(text[i:end])
			if word == "SELECT" || word == "VALUES" && depth == 0 {
				return false
			}
			i = end
			continue
		}
		i++
	}
	return depth == 0 && !inComment
}

func inWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
