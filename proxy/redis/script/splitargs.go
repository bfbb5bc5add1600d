package script

import (
	"strconv"
	"strings"
)

// splitArgs splits a line into words as Redis does with the first line of a script: at blanks, with quotes as in C (") or
// as in a shell ('). It reports false for quotes that are not closed, or not followed by a blank.
func splitArgs(line string) (words []string, ok bool) {
	for {
		line = strings.TrimLeft(line, " \t\n\v\f\r")
		if line == "" {
			return words, true
		}
		var word strings.Builder
		for line != "" && !isBlank(line[0]) {
			switch line[0] {
			case '"', '\'':
				if line, ok = cutQuoted(&word, line); !ok || line != "" && !isBlank(line[0]) {
					return nil, false
				}
			default:
				word.WriteByte(line[0])
				line = line[1:]
			}
		}
		words = append(words, word.String())
	}
}

func isBlank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// cutQuoted takes a quoted string off line, which begins with the quote.
func cutQuoted(word *strings.Builder, line string) (rest string, ok bool) {
	quote := line[0]
	for line = line[1:]; line != ""; {
		c := line[0]
		switch {
		case c == quote:
			return line[1:], true
		case c == '\\' && quote == '\'' && strings.HasPrefix(line, `\'`):
			word.WriteByte('\'')
			line = line[2:]
		case c == '\\' && quote == '"' && len(line) > 1:
			var n int
			c, n = escaped(line)
			word.WriteByte(c)
			line = line[n:]
		default:
			word.WriteByte(c)
			line = line[1:]
		}
	}
	return "", false
}

// escaped reads an escape at the beginning of line and returns its byte and its length.
func escaped(line string) (c byte, n int) {
	if line[1] == 'x' && len(line) >= 4 {
		if v, err := strconv.ParseUint(line[2:4], 16, 8); err == nil {
			return byte(v), 4
		}
	}
	if i := strings.IndexByte("nrtba", line[1]); i >= 0 {
		return "\n\r\t\b\a"[i], 2
	}
	return line[1], 2
}
