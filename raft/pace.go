package raft

import (
	"context"
	"io"
	"time"
)

const (
	// paceSlice is how long paced work goes on before it rests.
	paceSlice = 2 * time.Millisecond
	// paceRest is how long it rests then, as a multiple of the time that the work took.
	paceRest = 2
	// maxPaceRest bounds one rest: a process that was paused has not worked.
	maxPaceRest = 100 * time.Millisecond
	// pieceRest is the least rest after each piece that goes to the disk: so much less than a disk takes that it has none of
	// it left when the log comes, also where several members share it.
	pieceRest = 20 * time.Millisecond
)

// pace keeps work that can wait from being in the way of work that cannot. All members compare their data at the same
// moment, and clients wait for the same processors and disks.
type pace struct {
	begun time.Time
}

func newPace() *pace { return &pace{begun: time.Now()} }

// rest is called often, and returns at once unless a slice is over.
func (p *pace) rest(ctx context.Context) {
	worked := time.Since(p.begun)
	if worked < paceSlice {
		return
	}
	p.pause(ctx, min(paceRest*worked, maxPaceRest))
}

func (p *pace) pause(ctx context.Context, rest time.Duration) {
	select {
	case <-time.After(rest):
	case <-ctx.Done():
	}
	p.begun = time.Now()
}

// pacedReader reads at a pace what goes to the disk in pieces of bodyFlushBytes.
type pacedReader struct {
	ctx   context.Context // there are no rests after it
	r     io.Reader
	pace  *pace
	piece int // read of this piece
}

func (r *pacedReader) Read(p []byte) (int, error) {
	if r.piece >= bodyFlushBytes {
		r.piece = 0
		r.pace.pause(r.ctx, min(max(paceRest*time.Since(r.pace.begun), pieceRest), maxPaceRest))
	}
	r.pace.rest(r.ctx)
	n, err := r.r.Read(p)
	r.piece += n
	return n, err
}
