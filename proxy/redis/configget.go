package redis

import "strings"

// cmdConfigGet answers with the backend's configuration, without what is nobody's business and with what differs for
// the node as a whole.
func (s *session) cmdConfigGet(dst []byte, args [][]byte) []byte {
	request := make([]string, 0, len(args))
	for _, a := range args {
		request = append(request, string(a))
	}
	reply, err := s.srv.ask(request...)
	if err != nil {
		return appendError(dst, readErrorText(err))
	}
	pairs, ok := replyBulks(reply)
	if !ok || len(pairs)%2 != 0 {
		return append(dst, reply...)
	}
	kept := pairs[:0]
	for i := 0; i < len(pairs); i += 2 {
		name, value := string(pairs[i]), pairs[i+1]
		own, ok := s.srv.nodeSetting(name)
		if ok {
			value = []byte(own)
		} else if hiddenSetting(name) {
			continue
		}
		kept = append(kept, pairs[i], value)
	}
	dst = s.appendMap(dst, len(kept)/2)
	for _, b := range kept {
		dst = appendBulk(dst, b)
	}
	return dst
}

// hiddenSetting reports whether a setting is about the backend's machine, its secrets or its own replication.
func hiddenSetting(name string) bool {
	for _, part := range []string{
		"pass", "auth", "user", "file", "dir", "socket", "bind", "tls-", "cluster-", "replica", "slave", "repl-", "oom-",
		"syslog", "title", "set-proc", "cpulist", "acl-", "announce", "port-",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
