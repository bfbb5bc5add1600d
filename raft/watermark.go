package raft

import (
	"context"
	"sync"
	"time"
)

// applyWaits are the readers that wait for a position.
type applyWaits struct {
	came  awaited
	mu    sync.Mutex
	waits []applyWait
}

type applyWait struct {
	index   uint64
	reached chan struct{}
}

func (w *applyWaits) at(index uint64) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.waits {
		if w.waits[i].index == index {
			return w.waits[i].reached
		}
	}
	reached := make(chan struct{})
	w.waits = append(w.waits, applyWait{index: index, reached: reached})
	w.came.note()
	return reached
}

func (w *applyWaits) empty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waits) == 0
}

func (w *applyWaits) advance(index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.waits[:0]
	for _, wait := range w.waits {
		if wait.index <= index {
			close(wait.reached)
			continue
		}
		kept = append(kept, wait)
	}
	clear(w.waits[len(kept):])
	w.waits = kept
}

// watermark is a number that only grows, and that one goroutine waits for.
type watermark struct {
	mu     sync.Mutex
	value  uint64
	signal chan struct{} // holds one token after value has grown
}

func newWatermark() *watermark {
	return &watermark{signal: make(chan struct{}, 1)}
}

func (w *watermark) raise(value uint64) {
	w.mu.Lock()
	grown := value > w.value
	w.value = max(w.value, value)
	w.mu.Unlock()
	if !grown {
		return
	}
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// wait returns the value once it is above floor, when patience has passed, or when ctx ends.
func (w *watermark) wait(ctx context.Context, floor uint64, patience time.Duration) uint64 {
	if value := w.load(); value > floor {
		return value
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case <-w.signal:
		case <-ctx.Done():
			return w.load()
		}
		if value := w.load(); value > floor {
			return value
		}
	}
}

func (w *watermark) load() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.value
}
