package redis

import (
	"strconv"
	"time"
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
	s.takeArrived()
	select {
	case <-timer.C:
	case <-s.srv.ctx.Done():
	}
	return append(dst, replyOK...)
}

// cmdModuleList: what backends have beside the commands of Redis is refused.
func (s *session) cmdModuleList(dst []byte, _ [][]byte) []byte { return appendArray(dst, 0) }
