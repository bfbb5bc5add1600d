package redis

import (
	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

const (
	replyRetry = "+RETRY\r\n"
	// maxPicks is how often a session chooses members by itself. Each time somebody else was faster; after that the
	// leader chooses, which always works but costs every backend time in proportion to the set.
	maxPicks = 10
)

// runChoice answers SPOP: it asks the local backend for members, as SRANDMEMBER gives them, and proposes to take these.
// If one of them is gone by then, nothing is done, and it chooses again.
//
// No lock is held meanwhile, on no node. Whenever one client has to choose again, another one got what it chose.
func (s *session) runChoice(cmd redcon.Command, d policy.Decision) {
	count, one := policy.SPopCount(cmd.Args)
	item := backend.Item{DB: s.db}
	protocol := s.replyFlags()
	for round := 0; ; round++ {
		members, ok := s.pick(cmd, d, count, one)
		if !ok {
			return
		}
		if item.Cmd = backend.AppendCommand(nil, policy.TakeCommand(cmd.Args, members)...); round == maxPicks || members == nil {
			item.Cmd, item.Flags = cmd.Raw, backend.ItemTime
		}
		item.Flags |= protocol
		outcome, errText := s.propose([][]byte{backend.AppendOp(nil, item)})
		if errText != "" {
			s.out = appendError(s.out, errText)
			return
		}
		if reply := &outcome.Replies[0]; reply.Err != nil || string(reply.Data) != replyRetry {
			reply.Data = s.setReply(reply.Data)
			s.appendReply(reply)
			return
		}
	}
}

// pick returns members of the set, nil if they are too many to be chosen here. It reports false if it has answered the
// client.
func (s *session) pick(cmd redcon.Command, d policy.Decision, count int64, one bool) (members [][]byte, ok bool) {
	request := [][]byte{[]byte("SRANDMEMBER"), cmd.Args[1]}
	if !one {
		request = append(request, cmd.Args[2])
	}
	mark := len(s.out)
	r := &s.reads
	r.cmds = append(r.cmds[:0], read{db: s.db, protocol: backend.RESP2, raw: appendRequest(nil, request...), args: cmd.Args, spec: d.Spec})
	r.from, r.window = 0, 1
	err := s.readRound()
	large := r.large
	clear(r.cmds)
	r.cmds = r.cmds[:0]
	if err != nil {
		s.out = s.out[:mark]
		s.failed = true
		s.srv.metrics.failed(err)
		s.out = appendError(s.out, readErrorText(err))
		return nil, false
	}
	reply := s.out[mark:]
	if len(reply) > 0 && reply[0] == '-' {
		return nil, false
	}
	s.out = s.out[:mark]
	if large {
		return nil, true
	}
	members = make([][]byte, 0, 1)
	if b, ok := replyBulk(reply); ok {
		return append(members, append([]byte(nil), b...)), true
	}
	picked, _ := replyBulks(append([]byte(nil), reply...))
	return append(members, picked...), true
}
