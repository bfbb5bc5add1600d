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
	select {
	case <-time.After(min(paceRest*worked, maxPaceRest)):
	case <-ctx.Done():
	}
	p.begun = time.Now()
}

// pacedReader reads at a pace.
type pacedReader struct {
	ctx  context.Context
	r    io.Reader
	pace *pace
}

func (r pacedReader) Read(p []byte) (int, error) {
	r.pace.rest(r.ctx)
	return r.r.Read(p)
}
