// Package progress shows a person at a terminal how far something is.
package progress

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// IsTerminal tells whether a person looks at what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// spinEvery is how often something that cannot be measured shows that it goes on.
const spinEvery = 100 * time.Millisecond

// Bar is what a person sees of something that takes long. A nil Bar shows nothing: that is one in a pipe.
type Bar struct {
	bar  *progressbar.ProgressBar
	done chan struct{}
	over chan struct{}
}

// Start shows something of a size, -1 if that is not known, on w. It returns nil where nobody looks.
func Start(w io.Writer, what string, size int64, bytes bool) *Bar {
	if !IsTerminal(w) {
		return nil
	}
	b := &Bar{
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
func (b *Bar) spin() {
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

// Add shows that so much more is there.
func (b *Bar) Add(n int) {
	if b != nil {
		_ = b.bar.Add(n)
	}
}

// Reach shows that so much of a size is there.
func (b *Bar) Reach(n, size uint64) {
	if b != nil {
		b.bar.ChangeMax64(int64(size))
		_ = b.bar.Set64(int64(n))
	}
}

// Describe shows other words.
func (b *Bar) Describe(what string) {
	if b != nil {
		b.bar.Describe(what)
	}
}

// Close takes the bar away.
func (b *Bar) Close() {
	if b == nil {
		return
	}
	close(b.done)
	<-b.over
	_ = b.bar.Finish()
}
