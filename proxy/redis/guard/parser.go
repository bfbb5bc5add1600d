package guard

import (
	"bytes"
	"fmt"
)

// verdict is what the parser says about the bytes it was shown.
type verdict int

const (
	needMore verdict = iota // no request ends in these bytes
	frame                   // the first n bytes are a multibulk request
	blank                   // the first n bytes mean nothing (*0, *-1)
	line                    // the first n bytes are an inline command
	broken                  // parser.problem says what is wrong
)

// parser finds where requests end, as processMultibulkBuffer and
// processInlineBuffer of redis-server do. It is shown all bytes of the request
// in progress on every call and remembers how far it got, so that a request
// costs the same in however many pieces it arrives. All offsets count from the
// first byte of that request.
type parser struct {
	limits *Limits

	missing int // arguments still to come; 0 means between requests
	bulk    int // length of the argument at pos, or -1: header not read yet
	pos     int // bytes understood so far
	seen    int // bytes behind pos searched for the end of a line, in vain
	stuck   bool
	args    int // arguments of the request in progress

	nameFrom, nameTo int // where the first argument is, for the caller

	problem string // with broken: the text for the client
}

func newParser(limits *Limits) parser {
	return parser{limits: limits, bulk: -1}
}

// next judges b, which starts with the first byte of a request. It may write
// to b: Redis looks neither at the byte after a header's \r nor at the two
// bytes after an argument, redcon does, so both become what they should be.
func (p *parser) next(b []byte, authenticated bool) (verdict, int) {
	if p.missing == 0 {
		if len(b) == 0 {
			return needMore, 0
		}
		if b[0] != '*' {
			return p.inline(b)
		}
		if v := p.multibulk(b, authenticated); v != frame {
			n := p.pos
			if v == blank {
				p.reset()
			}
			return v, n
		}
	}
	for p.missing > 0 {
		if p.bulk < 0 {
			if v := p.bulkHeader(b, authenticated); v != frame {
				return v, 0
			}
		}
		end := p.pos + p.bulk + 2
		if len(b) < end {
			return needMore, 0
		}
		if b[end-2] != '\r' || b[end-1] != '\n' {
			b[end-2], b[end-1] = '\r', '\n'
		}
		if p.missing == p.args {
			p.nameFrom, p.nameTo = p.pos, end-2
		}
		p.pos, p.bulk = end, -1
		p.missing--
	}
	n := p.pos
	p.reset()
	return frame, n
}

// need returns how many bytes are surely missing, given that have are there.
// It is a hint for the buffer, never a reason to allocate.
func (p *parser) need(have int) int {
	if p.bulk < 0 {
		return 0
	}
	return max(0, p.pos+p.bulk+2-have)
}

// reset forgets the request in progress, but not where its name is.
func (p *parser) reset() {
	p.pos, p.seen, p.stuck, p.args = 0, 0, false, 0
}

// multibulk reads the "*count" line. It returns frame when arguments follow.
func (p *parser) multibulk(b []byte, authenticated bool) verdict {
	count, v := p.header(b, '*', problemMultibulk, problemMultibulkLine)
	if v != frame {
		return v
	}
	if count > int64(p.limits.MaxArgs) {
		return p.fail(problemMultibulk)
	}
	if !authenticated && count > int64(p.limits.UnauthMaxArgs) {
		return p.fail(problemMultibulkUnauth)
	}
	if count <= 0 {
		return blank
	}
	p.missing, p.args = int(count), int(count)
	return frame
}

// bulkHeader reads the "$length" line of an argument.
func (p *parser) bulkHeader(b []byte, authenticated bool) verdict {
	n, v := p.header(b, '$', problemBulk, problemBulkLine)
	if v != frame {
		return v
	}
	if n < 0 || n > p.limits.MaxBulk {
		return p.fail(problemBulk)
	}
	if !authenticated && n > p.limits.UnauthMaxBulk {
		return p.fail(problemBulkUnauth)
	}
	if n > p.limits.MaxFrame-int64(p.pos)-2 {
		return p.fail(fmt.Sprintf("too big request, the limit is %d bytes", p.limits.MaxFrame))
	}
	p.bulk = int(n)
	return frame
}

// header reads the line at pos: one byte of type and a number.
func (p *parser) header(b []byte, kind byte, invalid, tooLong string) (int64, verdict) {
	if n, end, ok := shortNumber(b, p.pos, kind); ok {
		p.pos, p.seen = end, 0
		return n, frame
	}
	i := p.find(b, '\r')
	if i < 0 {
		if len(b)-p.pos > p.limits.MaxInline {
			return 0, p.fail(tooLong)
		}
		return 0, needMore
	}
	if i+1 >= len(b) {
		// Redis judges a line only when the byte after \r is there too.
		return 0, needMore
	}
	if b[p.pos] != kind {
		return 0, p.fail("expected '$', got '" + printable(b[p.pos]) + "'")
	}
	n, ok := parseNumber(b[p.pos+1 : i])
	if !ok {
		return 0, p.fail(invalid)
	}
	b[i+1] = '\n'
	p.pos, p.seen = i+2, 0
	return n, frame
}

// inline looks for the end of an inline command.
func (p *parser) inline(b []byte) (verdict, int) {
	i := p.find(b, '\n')
	if i < 0 {
		if len(b) > p.limits.MaxInline {
			return p.fail(problemInline), 0
		}
		return needMore, 0
	}
	p.reset()
	return line, i + 1
}

// find returns where c is behind pos, or -1. Redis searches with strchr, which
// never looks behind a NUL: a line with one in it never ends, and is refused
// when it is too long. Looking no further than MaxInline makes the outcome
// independent of how the bytes were cut.
func (p *parser) find(b []byte, c byte) int {
	if p.stuck {
		return -1
	}
	from := p.pos + p.seen
	to := min(len(b), p.pos+p.limits.MaxInline+1)
	if from >= to {
		return -1
	}
	s := b[from:to]
	i := bytes.IndexByte(s, c)
	if i >= 0 {
		s = s[:i]
	}
	if bytes.IndexByte(s, 0) >= 0 {
		p.stuck = true
		return -1
	}
	if i < 0 {
		p.seen = to - p.pos
		return -1
	}
	p.seen += i
	return from + i
}

func (p *parser) fail(problem string) verdict {
	p.problem = problem
	return broken
}

// shortNumber reads what every real client sends: kind, up to nine digits,
// \r\n. Everything else is left to the slow path.
func shortNumber(b []byte, pos int, kind byte) (n int64, end int, ok bool) {
	if pos+3 >= len(b) || b[pos] != kind {
		return 0, 0, false
	}
	i := pos + 1
	for ; i < len(b) && i <= pos+9; i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		n = n*10 + int64(d)
	}
	if i+1 >= len(b) || b[i] != '\r' || b[i+1] != '\n' {
		return 0, 0, false
	}
	if i == pos+1 || b[pos+1] == '0' && i > pos+2 {
		return 0, 0, false
	}
	return n, i + 2, true
}

// parseNumber is string2ll of Redis: no sign but '-', no leading zero, no
// space, no overflow.
func parseNumber(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	if len(s) == 1 && s[0] == '0' {
		return 0, true
	}
	negative := s[0] == '-'
	if negative {
		s = s[1:]
	}
	if len(s) == 0 || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	limit := uint64(1<<63 - 1)
	if negative {
		limit++
	}
	var n uint64
	for _, c := range s {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

// printable keeps an error reply on one line, as Redis does.
func printable(c byte) string {
	if c == '\r' || c == '\n' {
		return " "
	}
	return string([]byte{c})
}
