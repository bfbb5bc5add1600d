package faults

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// subject is what a history is of: something in the database that is independent of all else.
type subject struct {
	kind kind
	key  string
}

// tally counts operations by what their clients know.
type tally struct {
	Answered, NotDone, Executed, Unknown, FailedReads int
}

func (t *tally) add(other tally) {
	t.Answered += other.Answered
	t.NotDone += other.NotDone
	t.Executed += other.Executed
	t.Unknown += other.Unknown
	t.FailedReads += other.FailedReads
}

func (t tally) String() string {
	return fmt.Sprintf("%d answered, %d not done, %d executed without a reply, %d unknown, %d reads failed",
		t.Answered, t.NotDone, t.Executed, t.Unknown, t.FailedReads)
}

// history is what the clients of a round did and saw.
type history struct {
	begin time.Time

	mu       sync.Mutex
	ops      map[subject][]porcupine.Operation
	appended map[string][]string // acknowledged, by key of the list
	tally    tally
	clients  int
	gap      time.Duration // longest time without an answered write
	last     time.Duration // when a write was answered last
	problems []string
}

func newHistory(subjects []subject) *history {
	h := &history{begin: time.Now(), ops: make(map[subject][]porcupine.Operation), appended: make(map[string][]string)}
	for _, s := range subjects {
		h.ops[s] = nil
	}
	return h
}

func (h *history) now() int64 { return time.Since(h.begin).Nanoseconds() }

// client returns a fresh number. A client whose operation did not end goes on under another: to the checker, one does
// only one thing at a time.
func (h *history) client() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients++
	return h.clients
}

// record keeps what an operation tells, and reports whether it has ended. A read that failed tells nothing. A write that
// was not done must leave no trace: it is left out, so that any trace of it is found.
func (h *history) record(s subject, client int, in input, output any, call int64, err error) (ended bool) {
	now := h.now()
	op := porcupine.Operation{ClientId: client, Input: in, Output: output, Call: call, Return: now}
	h.mu.Lock()
	defer h.mu.Unlock()
	verdict := judge(err)
	if verdict == wrong {
		h.problems = append(h.problems, fmt.Sprintf("%s %v: unexpected error: %v", s.key, in, err))
	}
	if in.reads() && verdict != answered {
		h.tally.FailedReads++
		return true
	}
	switch verdict {
	case answered:
		h.tally.Answered++
		if !in.reads() {
			h.gap = max(h.gap, time.Duration(now)-h.last)
			h.last = time.Duration(now)
		}
		if s.kind == list && !in.reads() {
			h.appended[s.key] = append(h.appended[s.key], in.value)
		}
	case notDone:
		h.tally.NotDone++
		return true
	case executed:
		h.tally.Executed++
		op.Output = nil
	default:
		h.tally.Unknown++
		op.Output, op.Return = nil, -1
	}
	h.ops[s] = append(h.ops[s], op)
	return op.Return >= 0
}

// close ends the history: a write of unknown outcome may take effect after all that was seen.
func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.now()
	for _, ops := range h.ops {
		for i := range ops {
			if ops[i].Return < 0 {
				ops[i].Return = end
			}
		}
	}
}

// subjects returns all subjects in a fixed order.
func (h *history) subjects() []subject {
	list := make([]subject, 0, len(h.ops))
	for s := range h.ops {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b subject) int {
		if a.kind != b.kind {
			return int(a.kind - b.kind)
		}
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return list
}

// verdict of the checker on the history of one subject.
type verdict struct {
	subject subject
	result  porcupine.CheckResult
	info    porcupine.LinearizationInfo
}

// check judges each subject. One that takes longer than patience stays undecided.
func (h *history) check(patience time.Duration) []verdict {
	var verdicts []verdict
	for _, s := range h.subjects() {
		result, info := porcupine.CheckOperationsVerbose(models[s.kind], h.ops[s], patience)
		verdicts = append(verdicts, verdict{s, result, info})
	}
	return verdicts
}
