package redis

import "sync"

// tasks counts goroutines that a Server waits for. Unlike a WaitGroup it takes no more of them once it is waited for.
type tasks struct {
	mu      sync.Mutex
	running int
	closed  bool
	idle    chan struct{} // closed when none runs and none may start
}

func newTasks() *tasks { return &tasks{idle: make(chan struct{})} }

// start reports whether a task may begin; end must be called when it has ended then.
func (t *tasks) start() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.running++
	return true
}

func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running--; t.running == 0 && t.closed {
		close(t.idle)
	}
}

// close lets no more begin and returns a channel that is closed when all have ended.
func (t *tasks) close() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		if t.running == 0 {
			close(t.idle)
		}
	}
	return t.idle
}
