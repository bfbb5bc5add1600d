package statement

// WithoutBackslashes returns a type as the server tells it, whose texts are read as in the mode NO_BACKSLASH_ESCAPES then.
func WithoutBackslashes(declared string) string {
	var out []byte
	inside := false
	for i := 0; i < len(declared); i++ {
		c := declared[i]
		switch {
		case c == '\'':
			inside = !inside
		case inside && c == '\\' && i+1 < len(declared):
			i++
			if c = unescaped(declared[i]); c == '\'' {
				out = append(out, c)
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// unescaped is what a backslash before c means.
func unescaped(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'Z':
		return '\x1a'
	}
	return c
}
