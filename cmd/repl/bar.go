package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// spinEvery is how often something that cannot be measured shows that it goes on.
const spinEvery = 100 * time.Millisecond

// bar is what a person sees of something that takes long. A nil bar shows nothing: that is one in a pipe.
type bar struct {
	bar  *progressbar.ProgressBar
	done chan struct{}
	over chan struct{}
}

// newBar shows something of a size; -1 if that is not known. It is nil where nobody looks.
func (s *session) newBar(what string, size int64, bytes bool) *bar {
	if !isTerminal(s.progress) || s.json {
		return nil
	}
	return startBar(s.progress, what, size, bytes)
}

func startBar(w io.Writer, what string, size int64, bytes bool) *bar {
	b := &bar{
		bar: progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(bytes),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionSetWidth(30),
			progressbar.OptionSpinnerType(14),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetRenderBlankState(true),
		),
		done: make(chan struct{}),
		over: make(chan struct{}),
	}
	go b.spin()
	return b
}

// spin shows that it goes on also while nothing is added.
func (b *bar) spin() {
	defer close(b.over)
	tick := time.NewTicker(spinEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-tick.C:
			_ = b.bar.Add(0) // a line that cannot be drawn is no reason to fail
		}
	}
}

func (b *bar) add(n int) {
	if b != nil {
		_ = b.bar.Add(n)
	}
}

// reach shows that so much of a size is there.
func (b *bar) reach(n, size uint64) {
	if b != nil {
		b.bar.ChangeMax64(int64(size))
		_ = b.bar.Set64(int64(n))
	}
}

func (b *bar) describe(what string) {
	if b != nil {
		b.bar.Describe(what)
	}
}

// close takes the bar away.
func (b *bar) close() {
	if b == nil {
		return
	}
	close(b.done)
	<-b.over
	_ = b.bar.Finish()
}
