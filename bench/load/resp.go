package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// requests appends commands in the Redis protocol.
type requests struct {
	get, set []byte // with a key of zeros
	digits   struct{ get, set int }
}

const zeros = "000000000000"

func newRequests(size int) *requests {
	key := "key:" + zeros
	r := &requests{
		get: fmt.Appendf(nil, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key),
		set: fmt.Appendf(nil, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, size, Value(size)),
	}
	r.digits.get = bytes.Index(r.get, []byte(zeros)) + keyDigits
	r.digits.set = bytes.Index(r.set, []byte(zeros)) + keyDigits
	return r
}

func (r *requests) appendGet(dst []byte, key int) []byte {
	return appendKeyed(dst, r.get, r.digits.get, key)
}

func (r *requests) appendSet(dst []byte, key int) []byte {
	return appendKeyed(dst, r.set, r.digits.set, key)
}

// appendKeyed appends a template and writes the number of the key over the zeros that end at end.
func appendKeyed(dst, template []byte, end, key int) []byte {
	at := len(dst) + end
	dst = append(dst, template...)
	for ; key > 0; key /= 10 {
		at--
		dst[at] = byte('0' + key%10)
	}
	return dst
}

// replies counts replies in a stream of which pieces come in.
type replies struct {
	skip   int    // bytes of a bulk string that are still to come
	line   []byte // the beginning of a line
	errors uint64
	first  string // error
}

// feed returns how many replies end in p. Only those that GET and SET have are known.
func (r *replies) feed(p []byte) (n int, err error) {
	for len(p) > 0 {
		if r.skip > 0 {
			k := min(r.skip, len(p))
			r.skip -= k
			p = p[k:]
			if r.skip == 0 {
				n++
			}
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			r.line = append(r.line, p...)
			return n, nil
		}
		line := p[:end+1]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
		}
		ended, err := r.take(line)
		if err != nil {
			return n, err
		}
		if ended {
			n++
		}
		r.line = r.line[:0]
		p = p[end+1:]
	}
	return n, nil
}

func (r *replies) take(line []byte) (ended bool, err error) {
	text := bytes.TrimRight(line[1:], "\r\n")
	switch line[0] {
	case '+', ':':
		return true, nil
	case '-':
		if r.errors == 0 {
			r.first = string(text)
		}
		r.errors++
		return true, nil
	case '$':
		size, err := strconv.Atoi(string(text))
		if err != nil {
			return false, fmt.Errorf("a reply begins with %q", line)
		}
		if size < 0 {
			return true, nil
		}
		r.skip = size + len("\r\n")
		return false, nil
	}
	return false, fmt.Errorf("a reply begins with %q", line)
}
