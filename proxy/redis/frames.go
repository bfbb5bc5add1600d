package redis

import (
	"bytes"
	"errors"
	"math"
)

// frames finds where the replies of a stream end that arrives in pieces, RESP2 or RESP3, and remembers of each what it
// begins with and the last number in it. It holds none of the bytes and looks at each but once.
type frames struct {
	open  int    // elements still to come; 0 between two replies
	skip  int    // bytes of a string still to come, its line end included
	line  []byte // the part of a line that has arrived, cut to maxFrameLine
	heads int    // lines seen of the reply in progress
	name  bool   // the string that comes is the first element of the reply

	// What is known of the reply in progress, or of the last one.
	kind   byte   // its first byte
	first  []byte // its first element if it is a string of up to maxFrameName bytes
	number int64  // its last integer
}

const (
	maxFrameLine = 32
	maxFrameName = 16
)

var errFrame = errors.New("the backend sent what is not RESP")

// next returns how many bytes of b belong to the reply in progress, and whether it ends with them.
func (f *frames) next(b []byte) (n int, ended bool, err error) {
	if f.open == 0 {
		f.open, f.heads, f.kind, f.first, f.number = 1, 0, 0, f.first[:0], 0
	}
	for n < len(b) {
		if f.skip > 0 {
			n += f.take(b[n:])
		} else {
			m, err := f.takeLine(b[n:])
			if err != nil {
				return n, false, err
			}
			n += m
		}
		if f.open == 0 {
			return n, true, nil
		}
	}
	return n, false, nil
}

// inside tells whether a part of a reply has been seen.
func (f *frames) inside() bool { return f.open > 0 }

// take passes over bytes of a string.
func (f *frames) take(b []byte) int {
	n := min(f.skip, len(b))
	if f.name {
		f.first = append(f.first, b[:min(n, max(f.skip-2, 0))]...)
	}
	if f.skip -= n; f.skip == 0 {
		f.name = false
		f.open--
	}
	return n
}

// takeLine passes over a line, or a part of one.
func (f *frames) takeLine(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n')
	n := end + 1
	if end < 0 {
		n = len(b)
	}
	f.line = append(f.line, b[:min(n, max(maxFrameLine-len(f.line), 0))]...)
	if end < 0 {
		return n, nil
	}
	err := f.head(bytes.TrimRight(f.line, "\r\n"))
	f.line = f.line[:0]
	return n, err
}

// head looks at a line that has arrived.
func (f *frames) head(line []byte) error {
	if len(line) == 0 {
		return errFrame
	}
	f.heads++
	if f.heads == 1 {
		f.kind = line[0]
	}
	switch line[0] {
	case '+', '-', '_', '#', ',', '(':
		f.open--
		return nil
	}
	size, ok := parseInt(line[1:])
	if line[0] == ':' {
		f.number = size
		f.open--
		return nil
	}
	if !ok || size > math.MaxInt32 {
		return errFrame
	}
	switch line[0] {
	case '$', '=', '!':
		if size < 0 {
			f.open--
			return nil
		}
		f.name = f.heads == 2 && size <= maxFrameName
		f.skip = int(size) + 2
	case '*', '~', '>':
		f.open += int(max(size, 0)) - 1
	case '%':
		f.open += 2*int(max(size, 0)) - 1
	case '|':
		f.open += 2 * int(max(size, 0))
	default:
		return errFrame
	}
	return nil
}
