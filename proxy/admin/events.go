package admin

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxEvents is how many of the last messages are kept.
const maxEvents = 100

// Event is one message of the log.
type Event struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	// Text is the message with its attributes, and Message its beginning without them.
	Text    string `json:"text"`
	Message string `json:"message"`
}

// Attributes are the rest of the text.
func (e Event) Attributes() string { return strings.TrimPrefix(e.Text, e.Message) }

// Events is a slog.Handler that passes on what is logged, and keeps the last messages of level info and above for the
// status page. It is safe for concurrent use.
type Events struct {
	next  slog.Handler
	attrs string
	ring  *ring
}

type ring struct {
	mu     sync.Mutex
	events []Event
}

// NewEvents returns Events that pass on to next.
func NewEvents(next slog.Handler) *Events { return &Events{next: next, ring: &ring{}} }

// Last returns the messages kept, the newest first.
func (e *Events) Last() []Event {
	if e == nil {
		return nil
	}
	e.ring.mu.Lock()
	defer e.ring.mu.Unlock()
	list := slices.Clone(e.ring.events)
	slices.Reverse(list)
	return list
}

// Enabled implements slog.Handler.
func (e *Events) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || e.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (e *Events) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		e.keep(r)
	}
	if !e.next.Enabled(ctx, r.Level) {
		return nil
	}
	return e.next.Handle(ctx, r)
}

func (e *Events) keep(r slog.Record) {
	text := r.Message + e.attrs
	r.Attrs(func(a slog.Attr) bool {
		text += attrText(a)
		return true
	})
	e.ring.mu.Lock()
	defer e.ring.mu.Unlock()
	if len(e.ring.events) == maxEvents {
		e.ring.events = slices.Delete(e.ring.events, 0, 1)
	}
	e.ring.events = append(e.ring.events, Event{Time: r.Time, Level: r.Level.String(), Text: text, Message: r.Message})
}

func attrText(a slog.Attr) string { return " " + a.Key + "=" + a.Value.String() }

// WithAttrs implements slog.Handler.
func (e *Events) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &Events{next: e.next.WithAttrs(attrs), attrs: e.attrs, ring: e.ring}
	for _, a := range attrs {
		with.attrs += attrText(a)
	}
	return with
}

// WithGroup implements slog.Handler.
func (e *Events) WithGroup(name string) slog.Handler {
	return &Events{next: e.next.WithGroup(name), attrs: e.attrs, ring: e.ring}
}
