package redis

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nexus-replication/nexus/raft"
)

// Scripts make up errors of their own, so what is remembered of them is bounded.
const (
	// mostErrors is how many first words of errors are counted one by one.
	mostErrors = 128
	// errorWordBytes is where Redis looks for the end of the first word.
	errorWordBytes = 31
)

// errorStats are what INFO errorstats tells: the errors that the clients of this node got, by their first word.
type errorStats struct {
	mu     sync.Mutex
	counts map[string]uint64
	total  uint64
}

// note counts reply if it begins with an error.
func (e *errorStats) note(reply []byte) {
	if len(reply) == 0 || reply[0] != '-' {
		return
	}
	begin := reply[1:min(len(reply), 1+errorWordBytes)]
	line, _, _ := bytes.Cut(begin, []byte("\r\n"))
	e.noteText(string(line))
}

func (e *errorStats) noteReply(r *raft.Reply) {
	if r.Err != nil {
		e.noteText(lostReplyText(r.Err))
		return
	}
	e.note(r.Data)
}

// noteText counts an error. One of a single word, or of one that is too long, counts as ERR, as in Redis.
func (e *errorStats) noteText(text string) {
	word, _, ok := strings.Cut(text[:min(len(text), errorWordBytes)], " ")
	if !ok {
		word = "ERR"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total++
	if e.counts == nil {
		e.counts = make(map[string]uint64)
	}
	if _, known := e.counts[word]; known || len(e.counts) < mostErrors {
		e.counts[strings.Clone(word)]++
	}
}

func (e *errorStats) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts, e.total = nil, 0
}

func (e *errorStats) sum() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total
}

// append appends the lines of the section.
func (e *errorStats) append(out []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, word := range slices.Sorted(maps.Keys(e.counts)) {
		// What separates the fields of INFO stands in no name.
		name := strings.Map(func(r rune) rune {
			if r <= ' ' || strings.ContainsRune("#:=,", r) {
				return '_'
			}
			return r
		}, word)
		out = fmt.Appendf(out, "errorstat_%s:count=%d\r\n", name, e.counts[word])
	}
	return out
}
