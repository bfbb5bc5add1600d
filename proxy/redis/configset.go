package redis

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// cmdConfigSet sets what clients may set: see policy.ParseConfigSet. What is the backend's own is set first, as it can fail,
// and set back if the entry with the rest was certainly not executed. What is the node's own cannot fail and comes last.
func (s *session) cmdConfigSet(dst []byte, args [][]byte) []byte {
	settings, errText := s.parseConfigSet(args)
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
	var former []string
	if len(local) > 2 {
		var reply []byte
		if reply, former = s.setLocal(local, len(entry) > 2); string(reply) != replyOK {
			return append(dst, reply...)
		}
	}
	if len(entry) > 2 {
		reply, done := s.setCluster(entry)
		if !done && len(former) > 2 {
			if _, err := s.srv.ask(former...); err != nil {
				s.srv.log.Error("settings of the backend could not be set back", "settings", former[2:], "error", err)
			}
		}
		if string(reply) != replyOK {
			return append(dst, reply...)
		}
		s.srv.memory.last.Store(nil) // of another limit
		s.srv.evictor.wake()
	}
	for _, set := range settings {
		if set.Name == "busy-reply-threshold" || set.Name == "lua-time-limit" {
			s.srv.running.after.Store(0)
		}
		if set.Scope == policy.ScopeNode {
			s.srv.slow.configure(set.Name, set.Value)
			s.srv.settings.set(set.Name, set.Value)
			s.srv.tracker.configure(set.Name, set.Value)
			s.srv.attend()
		}
	}
	return append(dst, replyOK...)
}

// parseConfigSet reads what a CONFIG SET sets, or returns why it cannot.
func (s *session) parseConfigSet(args [][]byte) (settings []policy.Setting, errText string) {
	return policy.ParseConfigSet(args, s.srv.backendHas, s.srv.presentSetting)
}

// setLocal sets what is the backend's own, and returns its reply. With back, it also returns the command that undoes it.
func (s *session) setLocal(set []string, back bool) (reply []byte, former []string) {
	former = []string{"CONFIG", "SET"}
	for i := 2; back && i < len(set); i += 2 {
		value, ok, err := s.srv.backendSetting(set[i])
		if err != nil {
			return appendError(nil, writeErrorText(fmt.Errorf("%w: %w", raft.ErrNotDone, err))), nil
		}
		if ok {
			former = append(former, set[i], value)
		}
	}
	reply, err := s.srv.ask(set...)
	if err != nil {
		return appendError(nil, writeErrorText(err)), nil
	}
	return reply, former
}

// setCluster sets what all backends must have alike. done is false if that was certainly not executed.
func (s *session) setCluster(entry [][]byte) (reply []byte, done bool) {
	op := backend.AppendOp(nil, backend.Item{DB: s.db, Cmd: backend.AppendCommand(nil, entry...)})
	outcome, errText := s.propose([][]byte{op})
	switch {
	case errText != "":
		return appendError(nil, errText), strings.HasPrefix(errText, wordUnknown)
	case outcome.Replies[0].Err != nil:
		return appendError(nil, lostReplyText(outcome.Replies[0].Err)), true
	}
	return outcome.Replies[0].Data, string(outcome.Replies[0].Data) == replyOK
}

// backendHas reports whether the backend has a parameter of that name. If it cannot be asked, it has.
func (s *Server) backendHas(name string) bool {
	if strings.ContainsAny(name, "*?[]\\") {
		return false
	}
	reply, err := s.ask("CONFIG", "GET", name)
	return err != nil || string(reply) != "*0\r\n"
}

// presentSetting returns what CONFIG GET tells of a parameter.
func (s *Server) presentSetting(name string) (value string, ok bool) {
	if value, ok = s.nodeSetting(name); ok {
		return value, true
	}
	if hiddenSetting(name) {
		return "", false
	}
	value, ok, err := s.backendSetting(name)
	return value, ok && err == nil
}

// backendSetting returns what the backend has for a parameter.
func (s *Server) backendSetting(name string) (value string, ok bool, err error) {
	reply, err := s.ask("CONFIG", "GET", name)
	if pair, isPair := replyBulks(reply); err == nil && isPair && len(pair) == 2 {
		return string(pair[1]), true, nil
	}
	return "", false, err
}

// cmdConfigResetStat resets the counters of the local backend, and those of the commands of the node's clients.
func (s *session) cmdConfigResetStat(dst []byte, _ [][]byte) []byte {
	s.srv.metrics.resetStats()
	s.srv.metrics.evictedBefore.Store(s.srv.backend.Evicted())
	s.srv.metrics.expiredBefore.Store(s.srv.backend.Expired())
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
	case "bind":
		return s.boundTo(), true
	case "replicaof", "slaveof":
		return "", true // to a client, every node is a master
	case "maxclients":
		return strconv.Itoa(s.cfg.Limits.MaxConns), true
	case "maxmemory":
		return strconv.FormatInt(s.backend.MemoryLimit(), 10), true
	case "timeout":
		return strconv.FormatInt(int64(s.cfg.IdleTimeout/time.Second), 10), true
	case "tracking-table-max-keys":
		return strconv.FormatInt(s.tracker.limit.Load(), 10), true
	case "slowlog-log-slower-than", "slowlog-max-len":
		return fmt.Sprint(s.slow.setting(name)), true
	}
	return s.settings.get(policy.SettingName(name))
}

// boundTo returns the address of the listener, empty before there is one.
func (s *Server) boundTo() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(s.ln.Addr().String())
	if err != nil {
		return ""
	}
	return host
}
