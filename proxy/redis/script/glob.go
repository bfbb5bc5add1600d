package script

// matches reports whether s matches a pattern of Redis: * ? [a-z] [^a] and \ before a character.
func matches(pattern, s []byte) bool {
	for len(pattern) > 0 {
		switch pattern[0] {
		case '*':
			for len(pattern) > 1 && pattern[1] == '*' {
				pattern = pattern[1:]
			}
			if len(pattern) == 1 {
				return true
			}
			for i := range len(s) + 1 {
				if matches(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		case '?':
			if len(s) == 0 {
				return false
			}
			pattern, s = pattern[1:], s[1:]
		case '[':
			if len(s) == 0 {
				return false
			}
			in, rest := inClass(pattern[1:], s[0])
			if !in {
				return false
			}
			pattern, s = rest, s[1:]
		case '\\':
			if len(pattern) > 1 {
				pattern = pattern[1:]
			}
			fallthrough
		default:
			if len(s) == 0 || s[0] != pattern[0] {
				return false
			}
			pattern, s = pattern[1:], s[1:]
		}
	}
	return len(s) == 0
}

// inClass reports whether c is in the class that begins behind "[", and returns what comes behind the class.
func inClass(class []byte, c byte) (in bool, rest []byte) {
	not := len(class) > 0 && class[0] == '^'
	if not {
		class = class[1:]
	}
	for len(class) > 0 && class[0] != ']' {
		low := class[0]
		if low == '\\' && len(class) > 1 {
			class = class[1:]
			low = class[0]
		}
		high := low
		if len(class) > 2 && class[1] == '-' {
			high = class[2]
			class = class[2:]
			low, high = min(low, high), max(low, high)
		}
		in = in || low <= c && c <= high
		class = class[1:]
	}
	if len(class) > 0 {
		class = class[1:]
	}
	return in != not, class
}
