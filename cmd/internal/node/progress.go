package node

import (
	"io"
	"time"
)

// progressEvery is how often it is told how far something is.
const progressEvery = time.Second

// progress tells how far the reading of something is that may take long. It is in the log rather than a bar: a node has
// no terminal.
type progress struct {
	r    io.ReadSeeker
	size int64
	done int64
	told time.Time
	tell func(done, size int64)
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if now := time.Now(); now.Sub(p.told) >= progressEvery {
		p.told = now
		p.tell(p.done, p.size)
	}
	return n, err
}

// Seek implements io.Seeker. What is read again counts again.
func (p *progress) Seek(offset int64, whence int) (int64, error) {
	at, err := p.r.Seek(offset, whence)
	p.done = at
	return at, err
}
