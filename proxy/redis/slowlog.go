package redis

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
)

// As in Redis.
const (
	slowDefault     = 10_000 // microseconds
	slowDefaultLen  = 128
	slowMaxArgs     = 32
	slowMaxArgBytes = 128
	slowNote        = 32 // what is said of the rest of a longer one
	// slowSpare is how many too old ones may be there, besides a quarter, before they are dropped together.
	slowSpare = 16
)

// slowLog remembers what took this node long. Unlike that of Redis it counts the time until the reply was ready, with
// what the cluster needed, and it has one entry for a pipeline: of its first command, and with the time of all. The time for
// which a command was blocked does not count, as in Redis.
type slowLog struct {
	// threshold is in microseconds; negative means that nothing is remembered.
	threshold atomic.Int64

	mu      sync.Mutex
	entries []slowEntry // the newest last; more than max, as they are dropped some at a time
	max     int64
	next    int64
}

type slowEntry struct {
	id     int64
	at     int64 // seconds since the epoch
	micros int64
	args   [][]byte
	client net.Addr
	name   string
}

func newSlowLog() *slowLog {
	l := &slowLog{max: slowDefaultLen}
	l.threshold.Store(slowDefault)
	return l
}

// slow reports whether something that took so long is to be remembered.
func (l *slowLog) slow(took time.Duration) bool {
	threshold := l.threshold.Load()
	return threshold >= 0 && took.Microseconds() >= threshold
}

// add remembers a command. It copies what it keeps. Where a thousand clients wait for each other, every command is slow.
func (l *slowLog) add(s *session, args [][]byte, start time.Time, took time.Duration) {
	e := slowEntry{at: start.Unix(), micros: took.Microseconds(), args: slowArgs(args), client: s.conn.RemoteAddr(), name: s.name}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.next
	l.next++
	l.entries = append(l.entries, e)

	if over := int64(len(l.entries)) - l.max; over > l.max/4+slowSpare {
		l.trim()
	}
}

// trim drops what is too old. The caller holds mu.
func (l *slowLog) trim() {
	kept := copy(l.entries, l.kept())
	clear(l.entries[kept:])
	l.entries = l.entries[:kept]
}

// kept returns what is not too old. The caller holds mu.
func (l *slowLog) kept() []slowEntry {
	return l.entries[max(0, int64(len(l.entries))-l.max):]
}

// secretFrom returns the place of the first argument that may be about a user or a password, or how many arguments there are.
func secretFrom(args [][]byte) int {
	switch {
	case len(args) == 0:
	case isWord(args[0], "auth"), isWord(args[0], "hello"):
		return 1
	case len(args) > 2 && isWord(args[0], "acl") && (isWord(args[1], "setuser") || isWord(args[1], "deluser") || isWord(args[1], "getuser")):
		return 2
	case len(args) > 2 && isWord(args[0], "nexus") && isWord(args[1], "explain"):
		return 2 + secretFrom(args[2:])
	case len(args) > 2 && isWord(args[0], "config") && isWord(args[1], "set"):
		for i := 2; i < len(args); i += 2 {
			if secretSettings[strings.ToLower(string(args[i]))] {
				return i + 1
			}
		}
	}
	return len(args)
}

// secretSettings are those whose values Redis hides. That they are refused here comes too late for who has sent one.
var secretSettings = map[string]bool{"masterauth": true, "requirepass": true, "tls-key-file-pass": true, "tls-client-key-file-pass": true}

// slowArgs shortens arguments as Redis does, and hides passwords.
func slowArgs(args [][]byte) [][]byte {
	secret := secretFrom(args)
	size := 0
	for _, a := range args[:min(len(args), slowMaxArgs)] {
		size += min(len(a), slowMaxArgBytes+slowNote)
	}
	memory := make([]byte, 0, size) // of all of them; what does not fit gets its own
	kept := make([][]byte, 0, min(len(args), slowMaxArgs))
	for i, a := range args {
		start := len(memory)
		switch {
		case i == slowMaxArgs-1 && len(args) > slowMaxArgs:
			return append(kept, []byte("... ("+strconv.Itoa(len(args)-slowMaxArgs+1)+" more arguments)"))
		case i >= secret:
			memory = append(memory, "(redacted)"...)
		case len(a) > slowMaxArgBytes:
			memory = append(memory, a[:slowMaxArgBytes]...)
			memory = append(memory, "... ("+strconv.Itoa(len(a)-slowMaxArgBytes)+" more bytes)"...)
		default:
			memory = append(memory, a...)
		}
		kept = append(kept, memory[start:len(memory):len(memory)])
	}
	return kept
}

// logSlow writes a line about what took long: the name of the first command and how large it was, never what it was about.
// Keys and values belong to the clients, and a log is read and kept by others. SLOWLOG has more for who may ask for it.
func (s *session) logSlow(first redcon.Command, followed int, took time.Duration) {
	name := "unknown"
	if d := s.srv.table.Lookup(first.Args, s.srv.policyContext); d.Spec != nil {
		name = commandName(d.Spec)
	}
	s.srv.log.Warn("slow command", "command", name, "took", took.Round(time.Microsecond), "arguments", len(first.Args)-1, "bytes", len(first.Raw),
		"pipelined", followed, "client", s.conn.RemoteAddr().String())
}

// configure sets one of the parameters, whose value was checked before.
func (l *slowLog) configure(name, value string) {
	n, _ := parseInt([]byte(value))
	if name == "slowlog-log-slower-than" {
		l.threshold.Store(n)
		return
	}
	if name != "slowlog-max-len" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max = n
	l.entries = slices.Clone(l.kept())
}

func (l *slowLog) setting(name string) int64 {
	if name == "slowlog-log-slower-than" {
		return l.threshold.Load()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.max
}

func (s *session) cmdSlowlogGet(dst []byte, args [][]byte) []byte {
	count := int64(10)
	if len(args) > 3 {
		return appendError(dst, "ERR unknown subcommand or wrong number of arguments for '"+printable(args[1])+"'. Try SLOWLOG HELP.")
	}
	if len(args) == 3 {
		var ok bool
		if count, ok = parseInt(args[2]); !ok || count < -1 {
			return appendError(dst, "ERR count should be greater than or equal to -1")
		}
	}
	l := s.srv.slow
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := l.kept()
	if all := int64(len(entries)); count < 0 || count > all {
		count = all
	}
	dst = appendArray(dst, int(count))
	for i := range int(count) {
		e := &entries[len(entries)-1-i]
		dst = appendArray(dst, 6)
		dst = appendInt(dst, e.id)
		dst = appendInt(dst, e.at)
		dst = appendInt(dst, e.micros)
		dst = appendRequest(dst, e.args...)
		dst = appendBulk(dst, e.client.String())
		dst = appendBulk(dst, e.name)
	}
	return dst
}

func (s *session) cmdSlowlogLen(dst []byte, _ [][]byte) []byte {
	s.srv.slow.mu.Lock()
	defer s.srv.slow.mu.Unlock()
	return appendInt(dst, int64(len(s.srv.slow.kept())))
}

func (s *session) cmdSlowlogReset(dst []byte, _ [][]byte) []byte {
	s.srv.slow.mu.Lock()
	defer s.srv.slow.mu.Unlock()
	s.srv.slow.entries = nil
	return append(dst, replyOK...)
}
