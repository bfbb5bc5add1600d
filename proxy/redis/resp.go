package redis

import (
	"bytes"
	"errors"
	"strconv"
)

const (
	replyOK     = "+OK\r\n"
	replyQueued = "+QUEUED\r\n"
)

// errBadReply means that a backend's reply is not complete. It is a broken invariant: the applier hands on
// complete replies only.
var errBadReply = errors.New("malformed reply from the backend")

func appendArray(dst []byte, n int) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}

func appendBulk[T []byte | string](dst []byte, b T) []byte {
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(len(b)), 10)
	dst = append(dst, '\r', '\n')
	dst = append(dst, b...)
	return append(dst, '\r', '\n')
}

func appendInt(dst []byte, n int64) []byte {
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// appendError appends an error reply. text has no leading '-' and must be one line.
func appendError(dst []byte, text string) []byte {
	dst = append(dst, '-')
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

// appendRequest appends a command as clients send it.
func appendRequest[T []byte | string](dst []byte, args ...T) []byte {
	dst = appendArray(dst, len(args))
	for _, a := range args {
		dst = appendBulk(dst, a)
	}
	return dst
}

// requestLen is the length of what appendRequest appends.
func requestLen(args [][]byte) int { return len(appendRequest(nil, args...)) }

// replyLen returns the length of the first reply in b, of RESP2 or RESP3.
func replyLen(b []byte) (int, error) {
	at := 0
	for open := 1; open > 0; open-- {
		kind, n, next, ok := replyHead(b, at)
		if !ok {
			return 0, errBadReply
		}
		at = next
		switch kind {
		case '$', '=', '!':
			if n < 0 {
				continue
			}
			if n > int64(len(b)-at-2) {
				return 0, errBadReply
			}
			at += int(n) + 2
		case '*', '~', '>', '%', '|':
			// Each element takes at least three bytes.
			if n > int64(len(b)-at) {
				return 0, errBadReply
			}
			open += elements(kind, n)
		}
	}
	return at, nil
}

// elements returns how many replies follow the head of an aggregate.
func elements(kind byte, n int64) int {
	n = max(n, 0)
	switch kind {
	case '%':
		return int(2 * n)
	case '|':
		return int(2*n) + 1 // what the attributes are about follows them
	}
	return int(n)
}

// replyHead reads the line at b[at:]: its type, the number in it if the type has one, and where the next line starts.
func replyHead(b []byte, at int) (kind byte, n int64, next int, ok bool) {
	if at >= len(b) {
		return 0, 0, 0, false
	}
	end := bytes.IndexByte(b[at:], '\n')
	if end < 2 {
		return 0, 0, 0, false
	}
	kind, next = b[at], at+end+1
	switch kind {
	case '+', '-', '_', ',', '#', '(':
		return kind, 0, next, true
	case ':', '$', '*', '=', '!', '~', '>', '%', '|':
		n, err := strconv.ParseInt(string(b[at+1:next-2]), 10, 64)
		return kind, n, next, err == nil
	}
	return 0, 0, 0, false
}

// replyInt returns the value of an integer reply.
func replyInt(b []byte) (int64, bool) {
	kind, n, next, ok := replyHead(b, 0)
	return n, ok && kind == ':' && next == len(b)
}

// replyBulk returns the contents of a bulk reply.
func replyBulk(b []byte) ([]byte, bool) {
	kind, n, next, ok := replyHead(b, 0)
	if !ok || kind != '$' || n < 0 || int64(len(b)-next) < n {
		return nil, false
	}
	return b[next : next+int(n)], true
}

// replyBulks returns the elements of an array of bulk strings.
func replyBulks(b []byte) ([][]byte, bool) {
	kind, n, at, ok := replyHead(b, 0)
	if !ok || kind != '*' || n < 0 || n > int64(len(b)) {
		return nil, false
	}
	elements := make([][]byte, 0, n)
	for range n {
		size, err := replyLen(b[at:])
		if err != nil {
			return nil, false
		}
		e, ok := replyBulk(b[at : at+size])
		if !ok {
			return nil, false
		}
		elements = append(elements, e)
		at += size
	}
	return elements, true
}

// parseInt reads an integer as strictly as Redis does: no plus sign, no leading zero, no blank.
func parseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits := b
	if b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || (digits[0] == '0' && len(b) > 1) || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// isWord reports whether b is the word, which must be in lower case, in any case.
func isWord(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
