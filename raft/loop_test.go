package raft

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// The loop lets others run before it, but not when they take long.
func TestLoopYieldsForAMoment(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !stop.Load() {
			for begun := time.Now(); time.Since(begun) < 2*longYield; {
			}
			runtime.Gosched()
		}
	}()
	var y yielding
	for range 1000 {
		if y.yield(); y.without > 0 {
			break
		}
	}
	if y.without != dueYields {
		t.Errorf("%d turns without others, want %d", y.without, dueYields)
	}
	for range y.without {
		y.yield()
	}
	if y.without != 0 {
		t.Errorf("%d turns are left", y.without)
	}
	stop.Store(true)
	<-ended
}
