package script

import (
	"bytes"
	"strings"
)

// metadata is the first line of a library's code.
type metadata struct{ name string }

// parseMetadata reads "#!lua name=mylib". errText is the error of Redis.
func parseMetadata(code []byte) (m metadata, errText string) {
	if !bytes.HasPrefix(code, []byte("#!")) {
		return m, "ERR Missing library metadata"
	}
	line, _, found := bytes.Cut(code, []byte("\n"))
	if !found {
		return m, "ERR Invalid library metadata"
	}
	parts, ok := splitArgs(string(line))
	if !ok || len(parts) == 0 {
		return m, "ERR Invalid library metadata"
	}
	engine := strings.TrimPrefix(parts[0], "#!")
	named := false
	for _, part := range parts[1:] {
		const prefix = "name="
		if len(part) < len(prefix) || !strings.EqualFold(part[:len(prefix)], prefix) {
			return m, "ERR Invalid metadata value given: " + part
		}
		if named {
			return m, "ERR Invalid metadata value, name argument was given multiple times"
		}
		named, m.name = true, part[len(prefix):]
	}
	switch {
	case !named:
		return m, "ERR Library name was not given"
	case !isName(m.name):
		return m, "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
	case !strings.EqualFold(engine, "lua"):
		return m, "ERR Engine '" + engine + "' not found"
	}
	return m, ""
}

// wrongFunction is Redis' text for a subcommand of FUNCTION with too many arguments.
func wrongFunction(args [][]byte) string {
	return "ERR unknown subcommand or wrong number of arguments for '" + string(args[1]) + "'. Try FUNCTION HELP."
}

func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}

func (l *Library) functionLoad(args [][]byte, db int) (*Call, string) {
	mode := []byte("new")
	for _, option := range args[2 : len(args)-1] {
		if !bytes.EqualFold(option, []byte("replace")) {
			return nil, "ERR Unknown option given: " + string(option)
		}
		mode = []byte("replace")
	}
	code := args[len(args)-1]
	if errText := checkSource(code); errText != "" {
		return nil, errText
	}
	m, errText := parseMetadata(code)
	if errText != "" {
		return nil, errText
	}
	return l.manage("function_load", db, code, []byte(m.name), mode), ""
}

func (l *Library) functionRestore(args [][]byte, db int) (*Call, string) {
	policy := "append"
	switch len(args) {
	case 3:
	case 4:
		policy = strings.ToLower(string(args[3]))
	default:
		return nil, wrongFunction(args)
	}
	if policy != "append" && policy != "replace" && policy != "flush" {
		return nil, "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
	}
	codes, errText := decodeDump(args[2])
	if errText != "" {
		return nil, errText
	}
	var list [][]byte
	for _, code := range codes {
		if errText := checkSource(code); errText != "" {
			return nil, errText
		}
		m, errText := parseMetadata(code)
		if errText != "" {
			return nil, errText
		}
		list = append(list, []byte(m.name), code)
	}
	return l.manage("function_restore", db, []byte(policy), list...), ""
}

// listOptions are those of FUNCTION LIST.
type listOptions struct {
	code    bool
	pattern []byte // nil for all
}

func (l *Library) functionList(args [][]byte, db int) (*Call, string) {
	c := l.listing(replyList, db)
	for i := 2; i < len(args); i++ {
		switch {
		case !c.list.code && bytes.EqualFold(args[i], []byte("withcode")):
			c.list.code = true
		case c.list.pattern == nil && bytes.EqualFold(args[i], []byte("libraryname")):
			if i++; i == len(args) {
				return nil, "ERR library name argument was not given"
			}
			c.list.pattern = args[i]
		default:
			return nil, "ERR Unknown argument " + strings.NewReplacer("\r", " ", "\n", " ").Replace(string(args[i]))
		}
	}
	return c, ""
}

// listing is a call whose reply is made from the list of all libraries.
func (l *Library) listing(kind replyKind, db int) *Call {
	c := l.manage("function_list", db, nil)
	c.reply = kind
	return c
}
