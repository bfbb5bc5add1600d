package redis

import (
	"fmt"
	"slices"
	"time"
)

func (s *session) cmdClientID(dst []byte, _ [][]byte) []byte {
	return appendInt(dst, int64(s.conn.ID()))
}

func (s *session) cmdClientGetName(dst []byte, _ [][]byte) []byte {
	if s.name == "" {
		return append(dst, "$-1\r\n"...)
	}
	return appendBulk(dst, s.name)
}

func (s *session) cmdClientSetName(dst []byte, args [][]byte) []byte {
	if !validName(args[2]) {
		return appendError(dst, errTextName)
	}
	s.setName(string(args[2]))
	return append(dst, replyOK...)
}

func (s *session) cmdClientInfo(dst []byte, _ [][]byte) []byte {
	return appendBulk(dst, s.appendClientLine(nil, time.Now()))
}

// cmdClientList lists the clients of this node.
func (s *session) cmdClientList(dst []byte, args [][]byte) []byte {
	var ids []int64
	none := false
	switch {
	case len(args) == 2:
	case len(args) == 4 && isWord(args[2], "type"):
		switch {
		case isWord(args[3], "normal"):
		case isWord(args[3], "master"), isWord(args[3], "replica"), isWord(args[3], "slave"), isWord(args[3], "pubsub"):
			none = true
		default:
			return appendError(dst, "ERR Unknown client type '"+printable(args[3])+"'")
		}
	case len(args) > 3 && isWord(args[2], "id"):
		for _, a := range args[3:] {
			id, ok := parseInt(a)
			if !ok {
				return appendError(dst, "ERR Invalid client ID")
			}
			ids = append(ids, id)
		}
	default:
		return appendError(dst, errTextSyntax)
	}
	if none {
		return appendBulk(dst, "")
	}
	now := time.Now()
	var list []byte
	for _, other := range s.srv.sessionList() {
		if ids == nil || slices.Contains(ids, int64(other.conn.ID())) {
			list = other.appendClientLine(list, now)
		}
	}
	return appendBulk(dst, list)
}

// appendClientLine appends the line of CLIENT LIST, in the format of Redis 7.0. Buffers are the kernel's and redcon's
// here, so their sizes are shown as 0. Any goroutine may call it.
func (s *session) appendClientLine(dst []byte, now time.Time) []byte {
	s.shown.Lock()
	name, db, queued, blocked := s.shown.name, s.shown.db, s.shown.queued, s.shown.block != nil && s.shown.block.parked.Load()
	s.shown.Unlock()
	flags := "N"
	switch {
	case blocked:
		flags = "b"
	case queued >= 0:
		flags = "x"
	}
	age := now.Sub(s.conn.Opened()) / time.Second
	idle := max(now.Sub(time.Unix(0, s.lastActive.Load()))/time.Second, 0)
	return fmt.Appendf(dst, "id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=%d flags=%s db=%d sub=0 psub=0 ssub=0 "+
		"multi=%d qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=%s "+
		"user=default redir=-1 resp=2\n",
		s.conn.ID(), s.conn.RemoteAddr(), s.conn.LocalAddr(), name, age, idle, flags, db, queued,
		commandName(s.lastCommand.Load()))
}
