package redis

import (
	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// appendGroupReply appends the reply to XREADGROUP, made from that of the script that stands for it in the log.
func (s *session) appendGroupReply(dst, reply []byte) []byte {
	if s.protocol == backend.RESP2 {
		return policy.GroupReply(dst, reply)
	}
	return appendStreamMap(dst, reply)
}

// appendStreamMap makes a map of an array of pairs, which is what RESP3 has for streams and their entries. Anything else,
// an error or nothing, stays what it is.
func appendStreamMap(dst, reply []byte) []byte {
	const pair = "*2\r\n"
	kind, n, next, ok := replyHead(reply, 0)
	if !ok || kind != '*' || n < 0 {
		return append(dst, reply...)
	}
	out := append(append(dst, '%'), reply[1:next]...)
	rest := reply[next:]
	for range n {
		if len(rest) < len(pair) || string(rest[:len(pair)]) != pair {
			return append(dst, reply...)
		}
		rest = rest[len(pair):]
		for range 2 {
			size, err := replyLen(rest)
			if err != nil {
				return append(dst, reply...)
			}
			out = append(out, rest[:size]...)
			rest = rest[size:]
		}
	}
	return out
}

// setReply makes a set of an array, which is what RESP3 has for the members that SPOP has taken. It changes reply.
func (s *session) setReply(reply []byte) []byte {
	if s.protocol == backend.RESP3 && len(reply) > 0 && reply[0] == '*' {
		reply[0] = '~'
	}
	return reply
}
