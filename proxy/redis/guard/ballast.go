package guard

// redcon's reader doubles its buffer for a large request and keeps the array
// afterwards: it only looks at the first redconBuffer bytes of it again. One
// 100 MB request would pin 128 MB until the connection ends or sends another
// request larger than that. The array is replaced when a read fills the buffer
// and leaves part of a request at its end. So after a large request Read hands
// on blank lines, which redcon skips without an allocation, up to the last byte
// of its buffer and then one byte of one more, a space; redcon moves to a fresh
// 8 KiB buffer, and the next Read ends that last line.
const (
	redconBuffer = 4096
	fatFrame     = 32 << 10 // smaller ones pin at most this much
)

// ballast is the state of that exchange.
type ballast int

const (
	ballastNone   ballast = iota
	ballastLoaded         // a large request has been handed on
	ballastHalf           // the space has been handed on, its line must end
)

func (b *ballast) load() { *b = ballastLoaded }

// fill writes what redcon needs to see to p, or nothing.
func (b *ballast) fill(p []byte) int {
	switch *b {
	case ballastLoaded:
		if len(p) != redconBuffer {
			// Not redcon, or not the large buffer's end: nothing to gain.
			*b = ballastNone
			return 0
		}
		for i := 0; i < len(p); i += 2 {
			p[i], p[i+1] = '\r', '\n'
		}
		p[len(p)-2], p[len(p)-1] = '\n', ' '
		*b = ballastHalf
		return len(p)
	case ballastHalf:
		p[0] = '\n'
		*b = ballastNone
		return 1
	}
	return 0
}
