package statement

import "strconv"

// ShowWarnings is what SHOW WARNINGS and its like ask for.
type ShowWarnings struct {
	Count  bool // how many there are
	Errors bool // of these alone

	offset, limit uint64
	limited       bool
}

// ReadShowWarnings reads SHOW [COUNT(*)] WARNINGS or ERRORS. ok is false for any other text.
func ReadShowWarnings(text string, d Dialect) (s ShowWarnings, ok bool) {
	p := newParser(text, d)
	if !p.take("SHOW") {
		return s, false
	}
	if p.take("COUNT") {
		s.Count = true
		if !p.takePunct('(') || !p.takePunct('*') || !p.takePunct(')') {
			return s, false
		}
	}
	if s.Errors = p.take("ERRORS"); !s.Errors && !p.take("WARNINGS") {
		return s, false
	}
	if !s.Count && p.take("LIMIT") && !p.limits(&s) {
		return s, false
	}
	return s, p.end() && p.tok.kind != tokenBad
}

// limits takes what follows LIMIT.
func (p *parser) limits(s *ShowWarnings) bool {
	s.limited = true
	var ok bool
	if s.limit, ok = p.number(); !ok {
		return false
	}
	switch {
	case p.takePunct(','):
		s.offset = s.limit
		s.limit, ok = p.number()
	case p.take("OFFSET"):
		s.offset, ok = p.number()
	}
	return ok
}

func (p *parser) number() (n uint64, ok bool) {
	if p.tok.kind != tokenNumber {
		return 0, false
	}
	n, err := strconv.ParseUint(p.tok.text, 10, 64)
	p.skip()
	return n, err == nil
}

// Window returns which of so many are asked for.
func (s *ShowWarnings) Window(n int) (from, to int) {
	if !s.limited {
		return 0, n
	}
	first := min(s.offset, uint64(n))
	return int(first), int(first + min(s.limit, uint64(n)-first))
}
