package guard

import "strconv"

// splitArgs splits an inline command as sdssplitargs of Redis does. It reports
// false when quotes are unbalanced. The line holds no NUL (see parser.find).
func splitArgs(s []byte) ([][]byte, bool) {
	var args [][]byte
	for {
		for len(s) > 0 && isSpace(s[0]) {
			s = s[1:]
		}
		if len(s) == 0 {
			return args, true
		}
		arg, rest, ok := splitArg(s)
		if !ok {
			return nil, false
		}
		args, s = append(args, arg), rest
	}
}

// splitArg takes one argument off s, which starts with no space. A quote may
// open in the middle of a word, and its end is the end of the argument.
func splitArg(s []byte) (arg, rest []byte, ok bool) {
	arg = make([]byte, 0, min(len(s), 64))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\n', '\r', '\t':
			return arg, s[i+1:], true
		case '"', '\'':
			return splitQuoted(arg, s[i+1:], c)
		default:
			arg = append(arg, c)
		}
	}
	return arg, nil, true
}

// splitQuoted appends the text up to the closing quote, which must be followed
// by a space or nothing.
func splitQuoted(arg, s []byte, quote byte) (_, rest []byte, ok bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			rest = s[i+1:]
			if len(rest) > 0 && !isSpace(rest[0]) {
				return nil, nil, false
			}
			return arg, rest, true
		case c != '\\' || i+1 >= len(s):
			arg = append(arg, c)
		case quote == '\'':
			if s[i+1] == '\'' {
				i++
			}
			arg = append(arg, s[i])
		case i+3 < len(s) && s[i+1] == 'x' && isHex(s[i+2]) && isHex(s[i+3]):
			arg = append(arg, unhex(s[i+2])<<4|unhex(s[i+3]))
			i += 3
		default:
			i++
			arg = append(arg, unescape(s[i]))
		}
	}
	return nil, nil, false
}

// unescape gives the meaning of a character after a backslash.
func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// isSpace is isspace of the C locale.
func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// appendFrame appends args as a multibulk request.
func appendFrame(dst []byte, args [][]byte) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	dst = append(dst, '\r', '\n')
	for _, arg := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(arg)), 10)
		dst = append(dst, '\r', '\n')
		dst = append(dst, arg...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// isCommand compares a command name with a lower case one, as strcasecmp does:
// ASCII only, up to the first NUL.
func isCommand(name []byte, lower string) bool {
	if len(name) > len(lower) && name[len(lower)] != 0 || len(name) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
