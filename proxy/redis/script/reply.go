package script

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"github.com/nexus-replication/nexus/proxy/redis/glob"
)

type replyKind uint8

const (
	replyScript replyKind = iota
	replyList
	replyDump
	replyStats
)

var errReply = errors.New("the library of scripts has answered something unexpected")

// Reply appends the client's reply, made from the raw reply of a backend to the call. What is not given back as it is has
// the types of RESP3 with resp3.
func (c *Call) Reply(dst, raw []byte, resp3 bool) ([]byte, error) {
	if len(raw) > 0 && raw[0] == '-' {
		return append(dst, raw...), nil
	}
	switch c.reply {
	case replyList, replyDump, replyStats:
		list, err := parseLibraries(raw)
		if err != nil {
			return dst, err
		}
		return c.appendListing(listing{dst, resp3}, list), nil
	}
	return append(dst, raw...), nil
}

// AsIs reports whether Reply gives every reply but an error back as it is.
func (c *Call) AsIs() bool { return c.reply == replyScript }

// libraryInfo is one of FUNCTION LIST.
type libraryInfo struct {
	name, code []byte
	functions  []functionInfo
}

type functionInfo struct {
	name        []byte
	description []byte // nil for none
	flags       [][]byte
}

// value is a reply of a backend, taken apart.
type value struct {
	bulk  []byte // nil for null
	items []value
}

// parseValue takes a reply of bulks and arrays off raw.
func parseValue(raw []byte, depth int) (v value, rest []byte, err error) {
	line, rest, found := bytes.Cut(raw, []byte("\r\n"))
	if !found || len(line) < 2 || depth == 0 {
		return v, nil, errReply
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil {
		return v, nil, errReply
	}
	switch {
	case line[0] == '$' && n < 0:
		return v, rest, nil
	case line[0] == '$' && n+2 <= len(rest):
		v.bulk = rest[:n:n]
		return v, rest[n+2:], nil
	case line[0] == '*' && n >= 0 && n <= len(rest):
		for range n {
			var item value
			if item, rest, err = parseValue(rest, depth-1); err != nil {
				return v, nil, err
			}
			v.items = append(v.items, item)
		}
		return v, rest, nil
	}
	return v, nil, errReply
}

// parseLibraries reads the reply to function_list: see functionlist in the Library.
func parseLibraries(raw []byte) ([]libraryInfo, error) {
	v, rest, err := parseValue(raw, 6)
	if err != nil || len(rest) != 0 {
		return nil, errReply
	}
	var list []libraryInfo
	for _, l := range v.items {
		if len(l.items) != 3 {
			return nil, errReply
		}
		info := libraryInfo{name: l.items[0].bulk, code: l.items[1].bulk}
		for _, f := range l.items[2].items {
			if len(f.items) != 3 {
				return nil, errReply
			}
			one := functionInfo{name: f.items[0].bulk, description: f.items[1].bulk}
			for _, flag := range f.items[2].items {
				one.flags = append(one.flags, flag.bulk)
			}
			info.functions = append(info.functions, one)
		}
		list = append(list, info)
	}
	return list, nil
}

// FunctionHasFlag reports whether a function was registered with a flag. raw is the reply to FUNCTION LIST, as Build makes
// it.
func FunctionHasFlag(raw, name []byte, flag string) bool {
	list, err := parseLibraries(raw)
	if err != nil {
		return false
	}
	for _, l := range list {
		for _, f := range l.functions {
			if !bytes.EqualFold(f.name, name) {
				continue
			}
			return slices.ContainsFunc(f.flags, func(f []byte) bool { return string(f) == flag })
		}
	}
	return false
}

// listing is a reply made of bulks, arrays and maps.
type listing struct {
	out   []byte
	resp3 bool
}

func (l *listing) head(kind byte, n int) { l.out = appendHead(l.out, kind, n) }
func (l *listing) bulk(s string)         { l.out = appendBulk(l.out, s) }

// mapping begins n pairs.
func (l *listing) mapping(n int) {
	if l.resp3 {
		l.head('%', n)
		return
	}
	l.head('*', 2*n)
}

func (l *listing) null() {
	if l.resp3 {
		l.out = append(l.out, "_\r\n"...)
		return
	}
	l.out = append(l.out, "$-1\r\n"...)
}

func (l *listing) set(n int) {
	if l.resp3 {
		l.head('~', n)
		return
	}
	l.head('*', n)
}

func (c *Call) appendListing(dst listing, list []libraryInfo) []byte {
	switch c.reply {
	case replyDump:
		var codes [][]byte
		for _, l := range list {
			codes = append(codes, l.code)
		}
		return appendBulk(dst.out, appendDump(nil, codes))
	case replyStats:
		functions := 0
		for _, l := range list {
			functions += len(l.functions)
		}
		dst.mapping(2)
		dst.bulk("running_script")
		dst.null()
		dst.bulk("engines")
		dst.mapping(1)
		dst.bulk("LUA")
		dst.mapping(2)
		dst.bulk("libraries_count")
		dst.head(':', len(list))
		dst.bulk("functions_count")
		dst.head(':', functions)
		return dst.out
	}
	return c.appendList(dst, list)
}

// appendList is the reply to FUNCTION LIST.
func (c *Call) appendList(dst listing, list []libraryInfo) []byte {
	var matching []libraryInfo
	for _, l := range list {
		if c.list.pattern == nil || glob.Match(bytes.ToLower(c.list.pattern), bytes.ToLower(l.name)) {
			matching = append(matching, l)
		}
	}
	fields := 3
	if c.list.code {
		fields++
	}
	dst.head('*', len(matching))
	for _, l := range matching {
		dst.mapping(fields)
		dst.bulk("library_name")
		dst.bulk(string(l.name))
		dst.bulk("engine")
		dst.bulk("LUA")
		dst.bulk("functions")
		dst.head('*', len(l.functions))
		for _, f := range l.functions {
			dst.function(f)
		}
		if c.list.code {
			dst.bulk("library_code")
			dst.bulk(string(l.code))
		}
	}
	return dst.out
}

func (l *listing) function(f functionInfo) {
	l.mapping(3)
	l.bulk("name")
	l.bulk(string(f.name))
	l.bulk("description")
	if f.description == nil {
		l.null()
	} else {
		l.bulk(string(f.description))
	}
	l.bulk("flags")
	l.set(len(f.flags))
	for _, flag := range f.flags {
		l.out = append(append(append(l.out, '+'), flag...), "\r\n"...)
	}
}

func appendHead(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}

func appendBulk[T []byte | string](dst []byte, b T) []byte {
	dst = appendHead(dst, '$', len(b))
	dst = append(dst, b...)
	return append(dst, '\r', '\n')
}

// IsUnknown reports whether a reply says that no replica has the script of the call.
func (c *Call) IsUnknown(raw []byte) bool { return bytes.HasPrefix(raw, []byte("-NOSCRIPT ")) }
