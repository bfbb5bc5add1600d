package guard

const (
	// minBuffer is what a connection starts with; keepBuffer is the most it
	// keeps between requests. With 10000 idle connections that is 160 MB.
	minBuffer  = 4 << 10
	keepBuffer = 16 << 10
	// copyStep bounds one copy: nothing can interrupt it, and the whole process
	// waits for it now and then.
	copyStep = 1 << 20
)

// buffer holds bytes received and not yet taken. It grows with what arrived
// and never with what was announced.
type buffer struct {
	data       []byte
	start, end int  // data[start:end] is not yet taken
	filled     bool // the last read filled all the room it was given
}

func (b *buffer) unread() []byte { return b.data[b.start:b.end] }

func (b *buffer) take(n int) { b.start += n }

func (b *buffer) added(n int) {
	b.end += n
	b.filled = b.end == len(b.data)
}

// room returns free space to read into. need is how many bytes are known to be
// missing (0: unknown); it only keeps the last step of growth from overshooting.
// Bytes are moved at most once per request, plus doubling: linear in all.
func (b *buffer) room(need int) []byte {
	have := b.end - b.start
	if have == 0 {
		b.start, b.end = 0, 0
	}
	switch {
	case b.data == nil:
		b.move(minBuffer)
	case b.filled && len(b.data) < keepBuffer:
		// More was waiting than fitted: fewer, larger reads from now on.
		b.move(2 * len(b.data))
	case b.start > 0 && !b.roomy(need):
		b.end = copy(b.data, b.unread())
		b.start = 0
	}
	if !b.roomy(need) {
		b.move(max(len(b.data)+len(b.data)/2, min(2*len(b.data), have+need)))
	}
	return b.data[b.end:]
}

// roomy reports whether reading into the free space is worth a system call.
func (b *buffer) roomy(need int) bool {
	free := len(b.data) - b.end
	return free >= len(b.data)/4 || need > 0 && free >= need
}

// trim lets go of a large array once the request that needed it is gone.
func (b *buffer) trim() {
	have := b.end - b.start
	switch {
	case len(b.data) <= keepBuffer || have > keepBuffer/2:
	case have == 0:
		*b = buffer{}
	default:
		b.move(keepBuffer)
	}
}

// detach gives away the bytes of a request that was just taken. What is not taken yet moves to an array of its own.
func (b *buffer) detach(frame []byte) []byte {
	if len(frame) < len(b.data)/2 {
		frame = append([]byte(nil), frame...)
		b.trim()
		return frame
	}
	if rest := b.end - b.start; rest > 0 {
		b.move(max(keepBuffer, rest))
	} else {
		*b = buffer{}
	}
	return frame[:len(frame):len(frame)]
}

func (b *buffer) move(size int) {
	data := make([]byte, size)
	rest := b.unread()
	b.end = 0
	for len(rest) > 0 {
		n := copy(data[b.end:], rest[:min(len(rest), copyStep)])
		b.end, rest = b.end+n, rest[n:]
	}
	b.start = 0
	b.data = data
	b.filled = false
}
