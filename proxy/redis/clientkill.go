package redis

import (
	"math"

	"github.com/nexus-replication/nexus/proxy/redis/acl"
)

// clientType is what CLIENT LIST and CLIENT KILL distinguish. Nodes have neither masters nor replicas among their clients.
type clientType string

const (
	anyClient    clientType = ""
	normalClient clientType = "normal"
	pubsubClient clientType = "pubsub"
	otherClient  clientType = "other"
)

func parseClientType(b []byte) (clientType, bool) {
	switch {
	case isWord(b, "normal"):
		return normalClient, true
	case isWord(b, "pubsub"):
		return pubsubClient, true
	case isWord(b, "master"), isWord(b, "replica"), isWord(b, "slave"):
		return otherClient, true
	}
	return anyClient, false
}

func errTextClientType(b []byte) string { return "ERR Unknown client type '" + printable(b) + "'" }

// killFilter says which clients CLIENT KILL means.
type killFilter struct {
	id          int64
	addr, laddr []byte
	kind        clientType
	user        *acl.User // nil for any
	skipMe      bool
}

// cmdClientKill closes clients of this node. What one of them has running may or may not be executed, as with any
// connection that is lost.
func (s *session) cmdClientKill(dst []byte, args [][]byte) []byte {
	if len(args) == 3 {
		if s.kill(killFilter{addr: args[2]}) == 0 {
			return appendError(dst, "ERR No such client")
		}
		return append(dst, replyOK...)
	}
	f, errText := parseKillFilter(args[2:], s.srv.users.Load())
	if errText != "" {
		return appendError(dst, errText)
	}
	return appendInt(dst, int64(s.kill(f)))
}

func parseKillFilter(args [][]byte, users *acl.Set) (f killFilter, errText string) {
	f.skipMe = true
	for ; len(args) > 0; args = args[2:] {
		if len(args) == 1 {
			return f, errTextSyntax
		}
		option, value := args[0], args[1]
		var ok bool
		switch {
		case isWord(option, "id"):
			if f.id, ok = parseInt(value); !ok || f.id < 1 {
				return f, "ERR client-id should be greater than 0"
			}
		case isWord(option, "type"):
			if f.kind, ok = parseClientType(value); !ok {
				return f, errTextClientType(value)
			}
		case isWord(option, "addr"):
			f.addr = value
		case isWord(option, "laddr"):
			f.laddr = value
		case isWord(option, "user"):
			if f.user = users.User(string(value)); f.user == nil {
				return f, "ERR No such user '" + printable(value) + "'"
			}
		case isWord(option, "skipme"):
			if f.skipMe = isWord(value, "yes"); !f.skipMe && !isWord(value, "no") {
				return f, errTextSyntax
			}
		default:
			return f, errTextSyntax
		}
	}
	return f, ""
}

// kill closes the clients that f means and returns their number. The client that asks still gets its reply.
func (s *session) kill(f killFilter) (killed int) {
	for _, other := range s.srv.sessionList() {
		if !f.matches(other) || other == s && f.skipMe {
			continue
		}
		killed++
		if other == s {
			s.ended = true
			continue
		}
		_ = other.conn.Close()
	}
	return killed
}

func (f *killFilter) matches(s *session) bool {
	id := s.conn.ID()
	switch {
	case f.id != 0 && (id > math.MaxInt64 || int64(id) != f.id):
		return false
	case f.user != nil && s.shownUser() != f.user:
		return false
	case f.addr != nil && s.conn.RemoteAddr().String() != string(f.addr):
		return false
	case f.laddr != nil && s.conn.LocalAddr().String() != string(f.laddr):
		return false
	}
	return f.kind == anyClient || f.kind == s.clientType()
}

// clientType may be called by any goroutine.
func (s *session) clientType() clientType {
	s.shown.Lock()
	defer s.shown.Unlock()
	if s.shown.sub != nil {
		return pubsubClient
	}
	return normalClient
}
