package glob

import "strings"

// Lua returns the pattern of Lua 5.1 that matches the same. It has no NUL bytes.
func Lua(pattern string) string {
	var out strings.Builder
	out.WriteByte('^')
	for rest := []byte(pattern); len(rest) > 0; {
		switch rest[0] {
		case '*':
			for len(rest) > 0 && rest[0] == '*' {
				rest = rest[1:]
			}
			out.WriteString(".*")
			continue
		case '?':
			out.WriteByte('.')
		case '[':
			rest = luaClass(&out, rest)
			continue
		case '\\':
			if len(rest) > 1 {
				rest = rest[1:]
			}
			luaByte(&out, rest[0])
		default:
			luaByte(&out, rest[0])
		}
		rest = rest[1:]
	}
	out.WriteByte('$')
	return out.String()
}

// luaClass writes the class that pattern begins with, member by member, and returns what follows it.
func luaClass(out *strings.Builder, pattern []byte) (rest []byte) {
	var members []byte
	for c := range 256 {
		after, ok := matchOne(pattern, byte(c))
		rest = after
		if ok {
			members = append(members, byte(c))
		}
	}
	switch len(members) {
	case 0:
		out.WriteString("[^%z\x01-\xff]")
		return rest
	case 256:
		out.WriteByte('.')
		return rest
	}
	out.WriteByte('[')
	for _, c := range members {
		luaByte(out, c)
	}
	out.WriteByte(']')
	return rest
}

func luaByte(out *strings.Builder, c byte) {
	switch {
	case c == 0:
		out.WriteString("%z")
	case c < 0x80 && !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'):
		out.WriteByte('%')
		out.WriteByte(c)
	default:
		out.WriteByte(c)
	}
}
