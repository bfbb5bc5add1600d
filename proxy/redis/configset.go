package redis

import (
	"fmt"
	"strconv"
	"strings"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// cmdConfigSet sets what clients may set: see policy.ParseConfigSet. What is the node's or the backend's own is set
// first; it is what can fail.
func (s *session) cmdConfigSet(dst []byte, args [][]byte) []byte {
	settings, errText := policy.ParseConfigSet(args, s.srv.backendHas)
	if errText != "" {
		return appendError(dst, errText)
	}
	local, entry := []string{"CONFIG", "SET"}, [][]byte{[]byte("CONFIG"), []byte("SET")}
	for _, set := range settings {
		switch set.Scope {
		case policy.ScopeCluster:
			entry = append(entry, []byte(set.Name), []byte(set.Value))
		case policy.ScopeBackend:
			local = append(local, set.Name, set.Value)
		}
	}
	if len(local) > 2 {
		reply, err := s.srv.ask(local...)
		if err != nil {
			return appendError(dst, writeErrorText(err))
		}
		if string(reply) != replyOK {
			return append(dst, reply...)
		}
	}
	for _, set := range settings {
		if set.Scope == policy.ScopeNode {
			s.srv.slow.configure(set.Name, set.Value)
		}
	}
	if len(entry) == 2 {
		return append(dst, replyOK...)
	}
	op := backend.AppendOp(nil, backend.Item{DB: s.db, Cmd: backend.AppendCommand(nil, entry...)})
	outcome, errText := s.propose([][]byte{op})
	switch {
	case errText != "":
		return appendError(dst, errText)
	case outcome.Replies[0].Err != nil:
		return appendError(dst, lostReplyText(outcome.Replies[0].Err))
	}
	return append(dst, outcome.Replies[0].Data...)
}

// backendHas reports whether the backend has a parameter of that name. If it cannot be asked, it has.
func (s *Server) backendHas(name string) bool {
	if strings.ContainsAny(name, "*?[]\\") {
		return false
	}
	reply, err := s.ask("CONFIG", "GET", name)
	return err != nil || string(reply) != "*0\r\n"
}

// cmdConfigResetStat resets the counters of the local backend.
func (s *session) cmdConfigResetStat(dst []byte, _ [][]byte) []byte {
	return s.askBackend(dst, "CONFIG", "RESETSTAT")
}

// askBackend answers with what the local backend says about itself.
func (s *session) askBackend(dst []byte, args ...string) []byte {
	reply, err := s.srv.askAs(s.protocol, args...)
	if err != nil {
		return appendError(dst, readErrorText(err))
	}
	return append(dst, reply...)
}

// nodeSetting returns the value of a parameter that is the node's own.
func (s *Server) nodeSetting(name string) (value string, ok bool) {
	switch name {
	case "port":
		return strconv.FormatInt(s.port.Load(), 10), true
	case "maxclients":
		return strconv.Itoa(s.cfg.Limits.MaxConns), true
	case "timeout":
		return "0", true
	case "slowlog-log-slower-than", "slowlog-max-len":
		return fmt.Sprint(s.slow.setting(name)), true
	}
	return "", false
}
