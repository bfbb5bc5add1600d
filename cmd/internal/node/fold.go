package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// foldEvery is how long repeats of a message are collected before they are told of in one line.
	foldEvery = 10 * time.Second
	// foldLines is how many lines of one message that differ in their attributes are written in that time.
	foldLines = 20
	// foldMessages bounds how many messages are followed. More at one time are written as they are.
	foldMessages = 1000
)

// fold is a slog.Handler that keeps what goes wrong again and again from filling the disk. A line like the one before
// it, and what is more than foldLines of one message in foldEvery, is counted instead of written; the last of them is,
// with their number, when the time is over. Messages of level debug all pass: who asks for them wants to see them.
//
// It must be closed, so that what it holds back is written.
type fold struct {
	next  slog.Handler
	attrs string // given by WithAttrs and WithGroup, as text
	state *foldState
}

type foldState struct {
	mu       sync.Mutex
	closed   bool
	messages map[string]*repeats
}

// repeats is what is known of one message in the time that runs.
type repeats struct {
	lines   int    // written
	last    string // the last line, written or not
	folded  int
	record  slog.Record // the last one folded
	handler slog.Handler
	timer   *time.Timer
}

func newFold(next slog.Handler) *fold {
	return &fold{next: next, state: &foldState{messages: make(map[string]*repeats)}}
}

// Enabled implements slog.Handler.
func (f *fold) Enabled(ctx context.Context, level slog.Level) bool { return f.next.Enabled(ctx, level) }

// WithAttrs implements slog.Handler.
func (f *fold) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &fold{next: f.next.WithAttrs(attrs), attrs: f.attrs, state: f.state}
	for _, a := range attrs {
		with.attrs += " " + a.String()
	}
	return with
}

// WithGroup implements slog.Handler.
func (f *fold) WithGroup(name string) slog.Handler {
	return &fold{next: f.next.WithGroup(name), attrs: f.attrs + " " + name + ".", state: f.state}
}

// Handle implements slog.Handler.
func (f *fold) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && f.state.folds(f, r) {
		return nil
	}
	return f.next.Handle(ctx, r)
}

// folds counts a record, and reports whether that is all that is to be done with it.
func (s *foldState) folds(f *fold, r slog.Record) bool {
	key := r.Level.String() + " " + r.Message + f.attrs
	line := attrsText(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.messages[key]
	if m == nil {
		if s.closed || len(s.messages) >= foldMessages {
			return false
		}
		m = &repeats{lines: 1, last: line}
		m.timer = time.AfterFunc(foldEvery, func() { s.tell(key, m) })
		s.messages[key] = m
		return false
	}
	if line != m.last && m.lines < foldLines {
		m.lines++
		m.last = line
		return false
	}
	m.folded++
	m.last, m.record, m.handler = line, r.Clone(), f.next
	return true
}

// tell is called when the time of a message is over. One that was not repeated is forgotten.
func (s *foldState) tell(key string, m *repeats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if m.folded == 0 {
		delete(s.messages, key)
		return
	}
	m.tell()
	m.timer.Reset(foldEvery)
}

// tell writes what was folded. The caller holds the lock.
func (m *repeats) tell() {
	if m.folded > 1 {
		m.record.Message += fmt.Sprintf(" (repeated %d times)", m.folded)
	}
	// As with any line of the log, there is nobody to tell that it could not be written.
	_ = m.handler.Handle(context.Background(), m.record)
	m.folded, m.lines, m.handler = 0, 0, nil
}

// close writes what is held back. What comes later is written at once.
func (f *fold) close() {
	s := f.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, m := range s.messages {
		m.timer.Stop()
		if m.folded > 0 {
			m.tell()
		}
	}
	clear(s.messages)
}

func attrsText(r slog.Record) string {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(" " + a.String())
		return true
	})
	return b.String()
}
