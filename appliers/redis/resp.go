package redis

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line of the protocol. Status and error replies of scripts can be long, but not longer than a value.
const maxLine = 1 << 30

// maxElements bounds what one aggregate says to consist of, so that no sum of such numbers runs over.
const maxElements = 1 << 40

// errProtocol is wrapped by every error about bytes that are no RESP2 or RESP3 reply: the connection is useless then.
var errProtocol = errors.New("not a RESP reply")

// strangeError is an errProtocol about a line that is none of the protocol's.
type strangeError struct{ begin []byte }

func (e *strangeError) Error() string { return fmt.Sprintf("%v: %q", errProtocol, e.begin) }

func (e *strangeError) Is(target error) bool { return target == errProtocol }

// shown is how much of a line an error shows.
const shown = 40

// replyReader reads RESP2 and RESP3 replies from a stream: skips, keeps or copies them as raw bytes, without building
// values. Nesting costs it nothing: it counts what is still to come.
// It is not safe for concurrent use.
type replyReader struct {
	br   *bufio.Reader
	long []byte // a line that does not fit the buffer of br
}

func newReplyReader(r io.Reader, size int) *replyReader {
	return &replyReader{br: bufio.NewReaderSize(r, size)}
}

// peek returns the first byte of the next reply.
func (r *replyReader) peek() (byte, error) {
	b, err := r.br.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// line reads up to and including the next "\r\n". The bytes are valid until the next call of any method.
func (r *replyReader) line() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		r.long = r.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(r.long) > maxLine {
				return nil, fmt.Errorf("%w: a line of more than %d bytes", errProtocol, maxLine)
			}
			r.long = append(r.long, line...)
			line, err = r.br.ReadSlice('\n')
		}
		r.long = append(r.long, line...)
		line = r.long
		if cap(r.long) > 1<<20 {
			r.long = nil
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, &strangeError{bytes.Clone(line[:min(shown, len(line))])}
	}
	return line, nil
}

// head reads the first line of a reply or of an element. body is the number of bytes that follow (a bulk string with
// its line end), elements the number of elements that follow; at most one of them is not zero.
func (r *replyReader) head() (line []byte, body, elements int, err error) {
	line, err = r.line()
	if err != nil {
		return nil, 0, 0, err
	}
	switch line[0] {
	case '+', '-', ':', '_', ',', '#', '(':
		return line, 0, 0, nil
	}
	n, err := lineNumber(line)
	if err != nil {
		return nil, 0, 0, err
	}
	switch line[0] {
	case '$', '=', '!':
		if n >= 0 {
			body = n + 2
		}
		return line, body, 0, nil
	case '*', '~', '>':
		elements = max(n, 0)
	case '%':
		elements = 2 * max(n, 0)
	case '|':
		elements = 2*max(n, 0) + 1 // what the attributes are about follows them
	default:
		return nil, 0, 0, fmt.Errorf("%w: %.40q", errProtocol, line)
	}
	if n > maxElements {
		return nil, 0, 0, fmt.Errorf("%w: %.40q", errProtocol, line)
	}
	return line, 0, elements, nil
}

// lineNumber returns n of a line "<kind><n>\r\n".
func lineNumber(line []byte) (int, error) {
	digits := line[1 : len(line)-2]
	if len(digits) == 2 && digits[0] == '-' && digits[1] == '1' {
		return -1, nil
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, fmt.Errorf("%w: %.40q", errProtocol, line)
	}
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: %.40q", errProtocol, line)
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}

// skip reads one reply and throws it away.
func (r *replyReader) skip() error {
	for pending := 1; pending > 0; pending-- {
		_, body, elements, err := r.head()
		if err != nil {
			return err
		}
		if err := r.discard(body); err != nil {
			return err
		}
		pending += elements
	}
	return nil
}

func (r *replyReader) discard(n int) error {
	if n == 0 {
		return nil
	}
	if _, err := r.br.Discard(n); err != nil {
		return unexpected(err)
	}
	return nil
}

// keep reads one reply and appends it to dst. Where dst would exceed limit, the reply is read and thrown away: kept is
// false, and dst has its old length.
func (r *replyReader) keep(dst []byte, limit int) (out []byte, kept bool, err error) {
	start := len(dst)
	kept = true
	for pending := 1; pending > 0; pending-- {
		line, body, elements, err := r.head()
		if err != nil {
			return dst[:start], false, err
		}
		pending += elements
		if kept && len(dst)+len(line)+body > limit {
			kept = false
			dst = dst[:start]
		}
		if !kept {
			if err := r.discard(body); err != nil {
				return dst, false, err
			}
			continue
		}
		dst = append(dst, line...)
		if body == 0 {
			continue
		}
		at := len(dst)
		dst = grow(dst, body)[:at+body]
		if _, err := io.ReadFull(r.br, dst[at:]); err != nil {
			return dst[:start], false, unexpected(err)
		}
	}
	return dst, kept, nil
}

// copyTo reads one reply and writes it to w as it arrives. Errors of w are returned as *writeError: the rest of the
// reply is not read then.
func (r *replyReader) copyTo(w *bufio.Writer) error {
	for pending := 1; pending > 0; pending-- {
		line, body, elements, err := r.head()
		if err != nil {
			return err
		}
		pending += elements
		if _, err := w.Write(line); err != nil {
			return &writeError{err}
		}
		for body > 0 {
			if _, err := r.br.Peek(1); err != nil {
				return unexpected(err)
			}
			part, err := r.br.Peek(min(body, r.br.Buffered()))
			if err != nil {
				return unexpected(err)
			}
			if _, err := w.Write(part); err != nil {
				return &writeError{err}
			}
			body -= len(part)
			if _, err := r.br.Discard(len(part)); err != nil {
				return unexpected(err)
			}
		}
	}
	return nil
}

// writeError is an error of the writer that a reply was copied to, as opposed to one of the backend.
type writeError struct{ err error }

func (e *writeError) Error() string { return "write reply: " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// grow makes room for n more bytes; for large n exactly, because nothing of that size is likely to follow.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	size := len(b) + n
	if n < 64<<10 {
		size = max(size, 2*cap(b))
	}
	bigger := make([]byte, len(b), size)
	copy(bigger, b)
	return bigger
}

// unexpected turns an end of the stream inside of a reply into an error that says so.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isError tells whether a raw reply is an error.
func isError(raw []byte) bool { return len(raw) > 0 && raw[0] == '-' }

// errorText returns the text of a raw error reply.
func errorText(raw []byte) string { return string(bytes.TrimRight(raw[1:], "\r\n")) }

// errorClass returns the first word of a raw error reply, without the minus sign.
func errorClass(raw []byte) string {
	if end := bytes.IndexAny(raw, " \r\n"); end > 0 {
		return string(raw[1:end])
	}
	return ""
}

// bulkText returns the contents of a raw bulk or status reply; ok is false for a null.
func bulkText(raw []byte) (text []byte, ok bool, err error) {
	switch {
	case len(raw) < 3:
		return nil, false, fmt.Errorf("%w: %.40q", errProtocol, raw)
	case raw[0] == '+':
		return raw[1 : len(raw)-2], true, nil
	case raw[0] == '-':
		return nil, false, errors.New(errorText(raw))
	case raw[0] == '_', raw[0] == '$' && raw[1] == '-':
		return nil, false, nil
	case raw[0] != '$':
		return nil, false, fmt.Errorf("%w: %.40q where a string was expected", errProtocol, raw)
	}
	text, _, ok = cutBulk(raw)
	if !ok {
		return nil, false, fmt.Errorf("%w: %.40q", errProtocol, raw)
	}
	return text, true, nil
}
