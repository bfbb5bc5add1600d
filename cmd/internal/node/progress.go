package node

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nexus-replication/nexus/cmd/internal/progress"
)

// progressEvery is how often the log tells how far something is.
const progressEvery = time.Second

// reading tells how far the reading of something is that may take long.
type reading struct {
	r    io.ReadSeeker
	done int64
	tell func(done int64)
}

func (p *reading) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	p.tell(p.done)
	return n, err
}

// Seek implements io.Seeker. What is read again counts again.
func (p *reading) Seek(offset int64, whence int) (int64, error) {
	at, err := p.r.Seek(offset, whence)
	p.done = at
	return at, err
}

// tellReading tells how far the reading of a file is: as a bar if stderr is a terminal, else in the log, each second.
func tellReading(stderr io.Writer, log *slog.Logger, file string, size int64) (tell func(done int64), end func()) {
	if bar := progress.Start(stderr, "Reading "+file, size, true); bar != nil {
		return func(done int64) { bar.Reach(uint64(done), uint64(size)) }, bar.Close
	}
	told := time.Now()
	return func(done int64) {
		if now := time.Now(); now.Sub(told) >= progressEvery {
			told = now
			log.Info("reading the backup", "file", file, "done", fmt.Sprintf("%d%%", 100*done/max(size, 1)), "bytes", done, "of", size)
		}
	}, func() {}
}
