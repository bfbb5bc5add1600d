package script

import "bytes"

// ReadsNothing reports whether it is certain that a script calls only commands for which neutral is true: it names redis for
// nothing but calls with the name of the command in quotes, and mentions nothing by which it could get at redis without
// naming it. It looks at the text alone, comments and strings included, so it may be wrong about one that reads nothing.
func ReadsNothing(body []byte, neutral func(name string) bool) bool {
	for _, way := range detours {
		if bytes.Contains(body, way) {
			return false
		}
	}
	for {
		_, rest, found := bytes.Cut(body, []byte("redis"))
		if !found {
			return true
		}
		name, rest, ok := cutCall(rest)
		if !ok || !neutral(name) {
			return false
		}
		body = rest
	}
}

// detours are parts of the names by which a script may reach what it does not name. Scripts know redis by the name server, too,
// since Valkey 8.
var detours = [][]byte{[]byte("_G"), []byte("fenv"), []byte("load"), []byte("server"), []byte("debug"), []byte("metatable")}

// cutCall takes .call('name' or .pcall('name' from the front of a script, if the argument ends there.
func cutCall(text []byte) (name string, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(text, []byte(".call"))
	if !ok {
		if rest, ok = bytes.CutPrefix(text, []byte(".pcall")); !ok {
			return "", nil, false
		}
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, space), []byte("("))
	rest = bytes.TrimLeft(rest, space)
	if !ok || len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
		return "", nil, false
	}
	word, rest, ok := bytes.Cut(rest[1:], rest[:1])
	rest = bytes.TrimLeft(rest, space)
	if !ok || len(rest) == 0 || rest[0] != ',' && rest[0] != ')' {
		return "", nil, false
	}
	for _, c := range word {
		if !isLetter(c) {
			return "", nil, false
		}
	}
	return string(bytes.ToLower(word)), rest, true
}

const space = " \t\r\n"
