package raft

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// The pause after a snapshot that failed doubles from one to the other.
	minSnapshotPause = time.Second
	maxSnapshotPause = time.Minute
	// busyPause is how soon one is tried again that the backend was too busy for.
	busyPause = 200 * time.Millisecond
	// checkpointKeeps is how long a checkpoint keeps the turn for the next try. The log grows meanwhile.
	checkpointKeeps = 2 * verifyTryPause
)

// snapshotTurn lets one snapshot be taken at a time, and holds who asked for the next.
type snapshotTurn struct {
	mu      sync.Mutex
	running bool
	asked   []chan error  // who wants a snapshot that has not begun yet
	failed  time.Time     // when the last one failed; zero if it did not
	pause   time.Duration // from then on
	busy    error         // why the backend could not begin it, or finish it, the last time
	again   time.Time     // when it is tried again then
	broken  int           // how often in a row it was begun and could not be finished
	hurry   func()        // ends the rests of the one that runs, if it takes any
	kept    time.Time     // until then it is for the next checkpoint, and for who asks
}

// begin takes the turn, if it is free and a snapshot is due or asked for. It returns who is to be told of the outcome.
func (t *snapshotTurn) begin(due bool) (asked []chan error, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(due, time.Now().Before(t.kept))
}

// beginCheckpoint takes the turn for a checkpoint, if it is free. Where a member's is not, the next checkpoint follows soon,
// and has to find those of all members free: until then nobody takes one that is merely due.
func (t *snapshotTurn) beginCheckpoint() (asked []chan error, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = time.Now().Add(checkpointKeeps)
	return t.take(true, false)
}

// take is called with mu held.
func (t *snapshotTurn) take(due, kept bool) (asked []chan error, ok bool) {
	if due {
		t.hurryUp()
	}
	if !t.failed.IsZero() {
		due = time.Since(t.failed) >= t.pause
	}
	due = due || t.broken > 0
	due = due && !kept
	if t.running || !due && len(t.asked) == 0 || t.busy != nil && time.Now().Before(t.again) {
		return nil, false
	}
	asked, t.asked, t.running = t.asked, nil, true
	return asked, true
}

// rests returns a context that ends when the one that runs must not rest any more: when the next is due, as the log grows
// meanwhile, in memory too, and when somebody waits, for this one or the next.
func (t *snapshotTurn) rests(ctx context.Context, asked []chan error) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hurry = cancel
	if len(asked)+len(t.asked) > 0 {
		t.hurryUp()
	}
	return ctx
}

// hurryUp is called with mu held.
func (t *snapshotTurn) hurryUp() {
	if t.hurry != nil {
		t.hurry()
	}
}

// postpone gives the turn back: who asked goes on waiting. It reports whether this is the first time.
func (t *snapshotTurn) postpone(asked []chan error, why error) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first = t.busy == nil
	t.putOff(asked, why, busyPause)
	return first
}

// breakOff is postpone for a snapshot that could not be finished. It returns how often in a row that was so: the pause grows, because
// each try costs what was read.
func (t *snapshotTurn) breakOff(asked []chan error, why error) (times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hurryUp()
	t.hurry = nil
	t.putOff(asked, why, min(minSnapshotPause<<min(t.broken, 10), maxSnapshotPause))
	t.broken++
	return t.broken
}

// putOff is called with mu held.
func (t *snapshotTurn) putOff(asked []chan error, why error, pause time.Duration) {
	t.running, t.busy, t.again = false, why, time.Now().Add(pause)
	t.asked = append(asked, t.asked...)
}

func (t *snapshotTurn) end(asked []chan error, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hurryUp()
	t.running, t.failed, t.busy, t.hurry, t.broken = false, time.Time{}, nil, nil, 0
	if err != nil {
		t.failed = time.Now()
		t.pause = min(max(2*t.pause, minSnapshotPause), maxSnapshotPause)
	} else {
		t.pause = 0
	}
	for _, done := range asked {
		done <- err
	}
}

func (t *snapshotTurn) ask() <-chan error {
	done := make(chan error, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(t.asked, done)
	t.hurryUp()
	return done
}

// giveUp takes back a question. It returns why there is no answer yet, or nil.
func (t *snapshotTurn) giveUp(done <-chan error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = slices.DeleteFunc(t.asked, func(c chan error) bool { return c == done })
	return t.busy
}

// awaitEnd reports whether one is being taken or written, to who waits until there is none.
func (t *snapshotTurn) awaitEnd() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hurryUp()
	return t.running
}

// want asks for a snapshot without waiting for it.
func (t *snapshotTurn) want() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.asked) == 0 {
		t.asked = append(t.asked, make(chan error, 1))
		t.hurryUp()
	}
}
