package redis

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// errTextFull is what Redis answers to a command that may need memory when there is none left below its maxmemory.
const errTextFull = "OOM command not allowed when used memory > 'maxmemory'."

// memoryAge is for how long it is believed how much memory the backend uses.
const memoryAge = 100 * time.Millisecond

// memoryUse is how much memory the local backend was seen to use. It is looked at while there is a limit only.
type memoryUse struct {
	mu   sync.Mutex // held while somebody looks
	last atomic.Pointer[memoryLook]
	// grown is by how much the writes of this node's clients that were executed since the last look may have added to it,
	// in bytes.
	grown atomic.Int64
}

// memoryLook is what was seen at a time.
type memoryLook struct {
	at       time.Time
	used     int64 // bytes, without what Redis does not count against maxmemory
	dbs      []keyCount
	volatile int64 // keys with a deadline, of all databases
}

// keyCount is how many keys a database has.
type keyCount struct {
	db   int
	keys int64
}

// keys returns how many keys clients have.
func (l *memoryLook) keys() (n int64) {
	for _, c := range l.dbs {
		n += c.keys
	}
	return n
}

// hasRoom reports whether a command may be executed as far as memory is concerned: always without CONFIG SET maxmemory.
// grows says that it may need memory. Beyond the limit keys are evicted first, as far as the policy allows. What is in the log
// already is executed all the same, so backends may come to use somewhat more; that of another node may use more or less.
func (s *session) hasRoom(grows bool) bool {
	srv := s.srv
	limit := srv.backend.MemoryLimit()
	if limit == 0 {
		return true
	}
	rule := ruleOf(srv.backend.EvictionPolicy())
	if rule.never {
		return !grows || srv.memoryUse(limit).used <= limit
	}
	if !grows && !srv.memory.exceeds(limit) {
		return true
	}
	look := srv.memoryUse(limit)
	switch {
	case look.used <= limit:
		if srv.memory.exceeds(triggerOf(limit)) {
			srv.evictor.wake()
		}
		return true
	case look.evictable(rule) == 0:
		return !grows
	}
	return s.awaitRoom(rule, limit) || !grows
}

// awaitRoom is hasRoom for a command that has to wait. Meanwhile the client has its replies, and hears what is evicted.
func (s *session) awaitRoom(rule evictionRule, limit int64) bool {
	s.endPhase()
	s.flush()
	s.releasePushes()
	defer s.holdPushes()
	return s.srv.makeRoom(rule, limit)
}

// exceeds reports whether more than the limit may be in use, as far as is known.
func (m *memoryUse) exceeds(limit int64) bool {
	last := m.last.Load()
	return last == nil || last.used+m.grown.Load() > limit
}

// memoryUse returns what was seen not long ago, unless so much was written since that the limit may be reached. It is what was
// last seen if nothing can be seen now.
func (s *Server) memoryUse(limit int64) *memoryLook {
	last := s.memory.last.Load()
	if last != nil && time.Since(last.at) < memoryAge && (last.used > limit || last.used+s.memory.grown.Load() <= limit) {
		return last
	}
	look, err := s.lookAtMemory()
	if err != nil {
		s.log.Debug("not known how much memory the backend uses", "error", err)
	}
	return look
}

// lookAtMemory asks the backend how much memory it uses. Callers that come while another one asks take what that one gets to
// see only if it began later than they did. The result is never nil.
func (s *Server) lookAtMemory() (*memoryLook, error) {
	begun := time.Now()
	m := &s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.last.Load()
	if last != nil && last.at.After(begun) {
		return last, nil
	}
	if last == nil {
		last = &memoryLook{}
	}
	look, grown := memoryLook{at: time.Now()}, m.grown.Load()
	reply, err := s.ask("INFO", "memory", "keyspace")
	if err != nil {
		return last, err
	}
	text, _ := replyBulk(reply)
	if err := look.read(text, s.cfg.ReservedDB); err != nil {
		return last, err
	}
	m.last.Store(&look)
	m.grown.Add(-grown)
	return &look, nil
}

// read takes what INFO says. Keys of the reserved database are nobody's.
func (l *memoryLook) read(text []byte, reservedDB int) error {
	var used, uncounted int64
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(string(bytes.TrimSpace(line)), ":")
		switch n, _ := strconv.ParseInt(value, 10, 64); {
		case name == "used_memory":
			used = n
		case name == "mem_not_counted_for_evict":
			uncounted = n
		case strings.HasPrefix(name, "db") && strings.HasPrefix(value, "keys="):
			var keys, volatile int64
			db, err := strconv.Atoi(name[len("db"):])
			if _, scanErr := fmt.Sscanf(value, "keys=%d,expires=%d", &keys, &volatile); err != nil || scanErr != nil {
				return fmt.Errorf("INFO keyspace: %.80q", line)
			}
			if db != reservedDB {
				l.dbs = append(l.dbs, keyCount{db: db, keys: keys})
				l.volatile += volatile
			}
		}
	}
	if used == 0 {
		return fmt.Errorf("INFO memory has no used_memory: %.80q", text)
	}
	l.used = used - uncounted
	return nil
}

// noteGrowth counts a write of the session that was taken, for propose.
func (s *session) noteGrowth(name string, args [][]byte, size int) {
	if s.srv.backend.MemoryLimit() == 0 {
		return
	}
	s.growth += int64(size)
	var unit int64
	switch name {
	case "setrange":
		unit = 1
	case "setbit":
		unit = 8
	default:
		return
	}
	if offset, ok := parseInt(args[2]); ok && offset > 0 {
		s.growth += offset / unit
	}
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
