package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// cmdOfBackend answers with what the local backend says about itself: LATENCY, MEMORY and the like.
func (s *session) cmdOfBackend(dst []byte, args [][]byte) []byte {
	request := make([]string, 0, len(args))
	for _, a := range args {
		request = append(request, string(a))
	}
	return s.askBackend(dst, request...)
}

// cmdMemoryStats is that of the local backend without the reserved database.
func (s *session) cmdMemoryStats(dst []byte, _ [][]byte) []byte {
	reply, err := s.srv.askAs(s.protocol, "MEMORY", "STATS")
	if err != nil {
		return appendError(dst, readErrorText(err))
	}
	kind, n, at, ok := replyHead(reply, 0)
	switch {
	case ok && kind == '%':
	case ok && kind == '*':
		n /= 2
	default:
		return append(dst, reply...)
	}
	hidden := "db." + strconv.Itoa(s.srv.cfg.ReservedDB)
	var kept []byte
	pairs := 0
	for range n {
		name, err := replyLen(reply[at:])
		if err != nil {
			return append(dst, reply...)
		}
		value, err := replyLen(reply[at+name:])
		if err != nil {
			return append(dst, reply...)
		}
		if text, _ := replyBulk(reply[at : at+name]); string(text) != hidden {
			kept = append(kept, reply[at:at+name+value]...)
			pairs++
		}
		at += name + value
	}
	return append(s.appendMap(dst, pairs), kept...)
}

// maxDebugSleep bounds DEBUG SLEEP.
const maxDebugSleep = time.Minute

// cmdDebug knows SLEEP, which holds up this client only.
func (s *session) cmdDebug(dst []byte, args [][]byte) []byte {
	seconds, err := strconv.ParseFloat(string(args[2]), 64)
	if err != nil || seconds < 0 || seconds > maxDebugSleep.Seconds() {
		return appendError(dst, "ERR DEBUG SLEEP is for 0 to 60 seconds")
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.srv.ctx.Done():
	}
	return append(dst, replyOK...)
}

// cmdModuleList: what backends have beside the commands of Redis is refused.
func (s *session) cmdModuleList(dst []byte, _ [][]byte) []byte { return appendArray(dst, 0) }

func (s *session) cmdACLWhoAmI(dst []byte, _ [][]byte) []byte { return appendBulk(dst, defaultUser) }

func (s *session) cmdACLUsers(dst []byte, _ [][]byte) []byte {
	return appendBulk(appendArray(dst, 1), defaultUser)
}

// cmdACLList describes the one user that there is, as Redis describes its default user.
func (s *session) cmdACLList(dst []byte, _ [][]byte) []byte {
	secret := "nopass"
	if s.srv.cfg.Password != "" {
		secret = "#" + s.srv.passwordHash()
	}
	return appendBulk(appendArray(dst, 1), "user default on "+secret+" ~* &* +@all")
}

func (s *Server) passwordHash() string {
	sum := sha256.Sum256([]byte(s.cfg.Password))
	return hex.EncodeToString(sum[:])
}

func (s *session) cmdACLGetUser(dst []byte, args [][]byte) []byte {
	if string(args[2]) != defaultUser {
		return s.appendNull(dst)
	}
	flags, passwords := []string{"on", "nopass"}, []string{}
	if s.srv.cfg.Password != "" {
		flags, passwords = []string{"on"}, []string{s.srv.passwordHash()}
	}
	dst = appendBulk(s.appendMap(dst, 6), "flags")
	at := len(dst)
	dst = appendRequest(dst, flags...)
	if s.protocol == backend.RESP3 {
		dst[at] = '~'
	}
	dst = appendRequest(appendBulk(dst, "passwords"), passwords...)
	dst = appendBulk(appendBulk(dst, "commands"), "+@all")
	dst = appendBulk(appendBulk(dst, "keys"), "~*")
	dst = appendBulk(appendBulk(dst, "channels"), "&*")
	return appendArray(appendBulk(dst, "selectors"), 0)
}

// cmdACLLog is empty: failed logins are in the log of the node.
func (s *session) cmdACLLog(dst []byte, args [][]byte) []byte {
	switch {
	case len(args) == 2:
	case len(args) > 3:
		return appendError(dst, "ERR wrong number of arguments for 'acl|log' command")
	case isWord(args[2], "reset"):
		return append(dst, replyOK...)
	default:
		if _, ok := parseInt(args[2]); !ok {
			return appendError(dst, errTextNotInt)
		}
	}
	return appendArray(dst, 0)
}
