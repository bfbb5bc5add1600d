package redis

import (
	"fmt"
	"slices"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
)

func (s *session) cmdClientID(dst []byte, _ [][]byte) []byte {
	return appendInt(dst, int64(s.conn.ID()))
}

func (s *session) cmdClientGetName(dst []byte, _ [][]byte) []byte {
	if s.name == "" {
		return s.appendNull(dst)
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

func (s *session) cmdClientInfo(dst []byte, args [][]byte) []byte {
	return s.appendText(dst, s.appendClientLine(nil, time.Now(), requestLen(args)))
}

// cmdClientList lists the clients of this node.
func (s *session) cmdClientList(dst []byte, args [][]byte) []byte {
	var ids []int64
	kind := anyClient
	switch {
	case len(args) == 2:
	case len(args) == 4 && isWord(args[2], "type"):
		var ok bool
		if kind, ok = parseClientType(args[3]); !ok {
			return appendError(dst, errTextClientType(args[3]))
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
	now := time.Now()
	var list []byte
	for _, other := range s.srv.sessionList() {
		if kind != anyClient && kind != other.clientType() {
			continue
		}
		if ids != nil && !slices.Contains(ids, int64(other.conn.ID())) || other.conn.Closed() {
			continue
		}
		request := 0
		if other == s {
			request = requestLen(args)
		}
		list = other.appendClientLine(list, now, request)
	}
	return s.appendText(dst, list)
}

// appendClientLine appends the line of CLIENT LIST, in the format of Redis 7.0. The buffers are those of guard.Conn, with the
// size of the request that asks, and the lines of MONITOR: there are some more, of a few kilobytes. Any goroutine may call
// it.
func (s *session) appendClientLine(dst []byte, now time.Time, request int) []byte {
	s.shown.Lock()
	shown := s.shown.clientFacts
	s.shown.Unlock()
	count := shown.sub.counts()
	sizes := s.conn.Sizes()
	query := sizes.Partial + int64(request)
	free := max(sizes.Received-query, 0)
	out := sizes.Unsent + shown.monitor.unsent()
	age := now.Sub(s.conn.Opened()) / time.Second
	idle := max(now.Sub(time.Unix(0, s.lastActive.Load()))/time.Second, 0)
	return fmt.Appendf(dst, "id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d "+
		"multi=%d qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=%d oll=0 omem=%d tot-mem=%d events=r cmd=%s "+
		"user=%s redir=%d resp=%d\n",
		s.conn.ID(), s.conn.RemoteAddr(), s.conn.LocalAddr(), shown.name, age, idle, shown.flags(), shown.db,
		count.channels, count.patterns, count.shards, shown.queued, query, free, sizes.Unsent, out, query+free+out, commandName(s.lastCommand.Load()), shown.user.Name, shown.tracked.redirectID(), shown.protocol)
}

// clientFacts are what CLIENT LIST of other sessions may see.
type clientFacts struct {
	name     string
	user     *acl.User
	db       int
	queued   int // -1 outside of MULTI
	protocol backend.Protocol
	block    *block // or nil
	sub      *subscription
	monitor  *monitor // or nil
	noEvict  bool
	tracked  *tracked // or nil
	// authenticated is that of the session.
	authenticated bool
}

func (f *clientFacts) flags() string {
	var flags []byte
	for _, flag := range []struct {
		set  bool
		name byte
	}{{f.monitor != nil, 'O'}, {f.sub != nil, 'P'}, {f.queued >= 0, 'x'}, {f.block != nil && f.block.parked.Load(), 'b'},
		{f.tracked != nil, 't'}, {f.tracked != nil && f.tracked.brokenRedirect.Load(), 'R'}, {f.tracked != nil && f.tracked.bcast, 'B'},
		{f.noEvict, 'e'}} {
		if flag.set {
			flags = append(flags, flag.name)
		}
	}
	if len(flags) == 0 {
		return "N"
	}
	return string(flags)
}

// cmdClientNoEvict: nodes close no client for the memory it takes, so the flag is but shown.
func (s *session) cmdClientNoEvict(dst []byte, args [][]byte) []byte {
	on := isWord(args[2], "on")
	if !on && !isWord(args[2], "off") {
		return appendError(dst, errTextSyntax)
	}
	s.setNoEvict(on)
	return append(dst, replyOK...)
}

func (s *session) setNoEvict(on bool) {
	s.shown.Lock()
	defer s.shown.Unlock()
	s.shown.noEvict = on
}

// cmdClientNoTouch: backends of Redis 7.0 know no such clients, so what it reads is touched all the same.
func (s *session) cmdClientNoTouch(dst []byte, args [][]byte) []byte {
	if !isWord(args[2], "on") && !isWord(args[2], "off") {
		return appendError(dst, errTextSyntax)
	}
	return append(dst, replyOK...)
}

// cmdClientSetInfo takes what later clients say about their library.
func (s *session) cmdClientSetInfo(dst []byte, args [][]byte) []byte {
	if !isWord(args[2], "lib-name") && !isWord(args[2], "lib-ver") {
		return appendError(dst, "ERR Unrecognized option '"+printable(args[2])+"'")
	}
	if !validName(args[3]) {
		return appendError(dst, "ERR "+string(args[2])+" cannot contain spaces, newlines or special characters.")
	}
	return append(dst, replyOK...)
}
