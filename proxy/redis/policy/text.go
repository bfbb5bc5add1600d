package policy

import (
	"bytes"
	"math"
	"strings"
)

// Error texts of Redis that more than one parser needs.
const (
	errSyntax  = "ERR syntax error"
	errNotInt  = "ERR value is not an integer or out of range"
	errCluster = "ERR This instance has cluster support disabled"
)

// maxQuoted is how much of a client's bytes Redis repeats in an error.
const maxQuoted = 128

func wrongArity(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

func invalidExpire(name string) string {
	return "ERR invalid expire time in '" + name + "' command"
}

func unknownSubcommand(container string, sub []byte) string {
	return oneLine("ERR unknown subcommand '" + quoted(sub, maxQuoted) +
		"'. Try " + strings.ToUpper(container) + " HELP.")
}

// unknownCommand repeats Redis' text, which shows arguments until 128 bytes of
// them, quotes included, have been shown.
func unknownCommand(args [][]byte) string {
	var shown strings.Builder
	for _, a := range args[1:] {
		if shown.Len() >= maxQuoted {
			break
		}
		shown.WriteByte('\'')
		shown.WriteString(quoted(a, maxQuoted-(shown.Len()-1)))
		shown.WriteString("' ")
	}
	return oneLine("ERR unknown command '" + quoted(args[0], maxQuoted) +
		"', with args beginning with: " + shown.String())
}

// unsupportedOption is the text of EXPIRE and its kind, which Redis trims
// before it replaces the line ends that are left.
func unsupportedOption(opt []byte) string {
	return oneLine(strings.TrimRight("ERR Unsupported option "+string(cString(opt)), "\r\n"))
}

// quoted is printf's %.<limit>s of a C string.
func quoted(b []byte, limit int) string {
	b = cString(b)
	if len(b) > limit {
		b = b[:limit]
	}
	return string(b)
}

var newlines = strings.NewReplacer("\r", " ", "\n", " ")

// oneLine keeps a client's bytes from ending the error reply early.
func oneLine(s string) string { return newlines.Replace(s) }

// cString returns the part of b that C string functions see.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// isOption reports whether b is the option, which must be in lower case, by
// the rules of strcasecmp: what follows a NUL byte does not count.
func isOption(b []byte, option string) bool {
	if len(b) < len(option) {
		return false
	}
	for i := 0; i < len(option); i++ {
		if lowerByte(b[i]) != option[i] {
			return false
		}
	}
	return len(b) == len(option) || b[len(option)] == 0
}

// parseInt reads a 64-bit integer as strictly as Redis does: no plus sign, no
// leading zero, no blank.
func parseInt(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	digits, negative := b, false
	if len(b) > 0 && b[0] == '-' {
		digits, negative = b[1:], true
	}
	// 19 digits always fit an uint64.
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' {
		return 0, false
	}
	var v uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	switch {
	case negative && v <= 1<<63:
		return int64(-v), true
	case !negative && v <= math.MaxInt64:
		return int64(v), true
	}
	return 0, false
}

// parseUint reads an uint64 as Redis reads the halves of a stream ID: strictly
// first, and then with everything that strtoull allows.
func parseUint(b []byte) (uint64, bool) {
	if v, ok := parseInt(b); ok {
		return uint64(v), v >= 0
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	negative := false
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	if negative {
		v = -v
	}
	return v, true
}
