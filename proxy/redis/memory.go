package redis

import (
	"bytes"
	"sync"
	"time"
)

// errTextFull is what Redis answers to a command that may need memory when there is none left below its maxmemory.
const errTextFull = "OOM command not allowed when used memory > 'maxmemory'."

// memoryAge is for how long it is believed how much memory the backend uses.
const memoryAge = 100 * time.Millisecond

// memoryUse is how much memory the local backend was seen to use. It is looked at while there is a limit only.
type memoryUse struct {
	mu   sync.Mutex
	seen time.Time
	used int64
}

// full reports whether the local backend uses more memory than CONFIG SET maxmemory allows. What is in the log already is
// executed all the same, so backends may come to use somewhat more; that of another node may use more or less.
func (s *Server) full() bool {
	limit := s.backend.MemoryLimit()
	return limit > 0 && s.usedMemory() > limit
}

// usedMemory returns what was last seen if it cannot be looked at.
func (s *Server) usedMemory() int64 {
	m := &s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.seen) < memoryAge {
		return m.used
	}
	reply, err := s.ask("INFO", "memory")
	if err != nil {
		return m.used
	}
	text, _ := replyBulk(reply)
	for line := range bytes.Lines(text) {
		v, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("used_memory:"))
		if n, isInt := parseInt(v); ok && isInt {
			m.used, m.seen = n, time.Now()
		}
	}
	return m.used
}

// grows reports whether a transaction may need memory.
func (t *transaction) grows() bool {
	for i := range t.cmds {
		if d := &t.cmds[i].d; d.Spec.Grows || d.Spec.Name == "eval" || d.Spec.Name == "evalsha" || d.Spec.Name == "fcall" {
			return true
		}
	}
	return false
}

// asRead returns the form of a script in which it may run while nothing may be written, for a reason: as a read. errText is
// the reply to one that may not run at all.
func asRead(name string, args [][]byte, why string) (form string, reads bool, errText string) {
	switch {
	case name == "eval" && bytes.HasPrefix(args[1], []byte("#!")):
		return name, false, why
	case name == "eval" || name == "evalsha" || name == "fcall":
		return name + "_ro", true, ""
	}
	return name, false, ""
}

// deniedReply is the reply to a script that asRead has made a read.
func deniedReply(raw []byte, why string) []byte {
	const isWrite = "-ERR Write commands are not allowed from read-only scripts."
	const toWrite = "-ERR Can not execute a script with write flag using *_ro command."
	if rest, ok := bytes.CutPrefix(raw, []byte(isWrite)); ok {
		return append([]byte("-"+why), rest...)
	}
	if bytes.HasPrefix(raw, []byte(toWrite)) {
		return appendError(nil, why)
	}
	return raw
}
