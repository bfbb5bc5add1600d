// Package glob matches the patterns of Redis, which are not those of package path.
package glob

// Match reports whether s matches a pattern of Redis: * ? [a-z] [^a] and \ before a character. Its time is bounded by
// the product of the lengths: only the last * is ever tried again.
func Match(pattern, s []byte) bool {
	var star, from []byte // what comes behind the last *, and what it was tried on
	for len(s) > 0 {
		if len(pattern) > 0 && pattern[0] == '*' {
			pattern = pattern[1:]
			star, from = pattern, s
			continue
		}
		if rest, ok := matchOne(pattern, s[0]); ok {
			pattern, s = rest, s[1:]
			continue
		}
		if from == nil {
			return false
		}
		from = from[1:]
		pattern, s = star, from
	}
	for len(pattern) > 0 && pattern[0] == '*' {
		pattern = pattern[1:]
	}
	return len(pattern) == 0
}

// matchOne matches one character, and returns what is left of the pattern.
func matchOne(pattern []byte, c byte) (rest []byte, ok bool) {
	if len(pattern) == 0 {
		return nil, false
	}
	switch pattern[0] {
	case '?':
		return pattern[1:], true
	case '[':
		return matchClass(pattern[1:], c)
	case '\\':
		if len(pattern) > 1 {
			pattern = pattern[1:]
		}
	}
	return pattern[1:], pattern[0] == c
}

// matchClass matches c with the class that begins behind "[".
func matchClass(class []byte, c byte) (rest []byte, ok bool) {
	not := len(class) > 0 && class[0] == '^'
	if not {
		class = class[1:]
	}
	in := false
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
		}
		in = in || min(low, high) <= c && c <= max(low, high)
		class = class[1:]
	}
	if len(class) > 0 {
		class = class[1:]
	}
	return class, in != not
}
