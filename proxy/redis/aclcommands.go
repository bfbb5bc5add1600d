package redis

import (
	"strconv"
	"strings"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
)

func (s *session) cmdACLWhoAmI(dst []byte, _ [][]byte) []byte { return appendBulk(dst, s.user.Name) }

func (s *session) cmdACLUsers(dst []byte, _ [][]byte) []byte {
	if errText := s.catchUpUsers(); errText != "" {
		return appendError(dst, errText)
	}
	names := s.srv.users.Load().Names()
	dst = appendArray(dst, len(names))
	for _, name := range names {
		dst = appendBulk(dst, name)
	}
	return dst
}

func (s *session) cmdACLList(dst []byte, _ [][]byte) []byte {
	if errText := s.catchUpUsers(); errText != "" {
		return appendError(dst, errText)
	}
	set := s.srv.users.Load()
	dst = appendArray(dst, len(set.Names()))
	for _, name := range set.Names() {
		dst = appendBulk(dst, set.User(name).String())
	}
	return dst
}

func (s *session) cmdACLGetUser(dst []byte, args [][]byte) []byte {
	if errText := s.catchUpUsers(); errText != "" {
		return appendError(dst, errText)
	}
	u := s.srv.users.Load().User(string(args[2]))
	if u == nil {
		return s.appendNull(dst)
	}
	dst = appendBulk(s.appendMap(dst, 6), "flags")
	at := len(dst)
	dst = appendRequest(dst, u.Flags()...)
	if s.protocol == backend.RESP3 {
		dst[at] = '~'
	}
	dst = appendRequest(appendBulk(dst, "passwords"), u.Passwords()...)
	selectors := u.Describe()
	dst = appendSelector(dst, selectors[0])
	dst = appendArray(appendBulk(dst, "selectors"), len(selectors)-1)
	for _, d := range selectors[1:] {
		dst = appendSelector(s.appendMap(dst, 3), d)
	}
	return dst
}

func appendSelector(dst []byte, d acl.Description) []byte {
	dst = appendBulk(appendBulk(dst, "commands"), d.Commands)
	dst = appendBulk(appendBulk(dst, "keys"), d.Keys)
	return appendBulk(appendBulk(dst, "channels"), d.Channels)
}

// cmdACLLoad reads the users of this node again; other nodes have files of their own.
func (s *session) cmdACLLoad(dst []byte, _ [][]byte) []byte {
	if s.srv.cfg.UsersFile == "" {
		return appendError(dst, "ERR This Redis instance is not configured to use an ACL file. "+errNoUsersFile.Error())
	}
	if _, err := s.srv.loadUsers(s); err != nil {
		return appendError(dst, "ERR "+reasonOf(err, maxLoadError)+" WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	return append(dst, replyOK...)
}

// maxLoadError bounds what ACL LOAD says, in bytes.
const maxLoadError = 4096

// cmdACLDryRun tells whether a user may run a command, in the words of Redis.
func (s *session) cmdACLDryRun(dst []byte, args [][]byte) []byte {
	if errText := s.catchUpUsers(); errText != "" {
		return appendError(dst, errText)
	}
	u := s.srv.users.Load().User(string(args[2]))
	if u == nil {
		return appendError(dst, "ERR User '"+printable(args[2])+"' not found")
	}
	d := s.srv.table.Lookup(args[3:], s.srv.policyContext)
	switch {
	case d.Spec == nil:
		return appendError(dst, "ERR Command '"+printable(args[3])+"' not found")
	case !fits(d.Spec, args[3:]):
		return appendError(dst, "ERR wrong number of arguments for '"+d.Spec.Name+"' command")
	}
	if denial := u.Check(d.Spec, args[3:]); denial.Kind != acl.Allowed {
		return appendBulk(dst, denial.Explain())
	}
	return append(dst, replyOK...)
}

func (s *session) cmdACLLog(dst []byte, args [][]byte) []byte {
	count := int64(10)
	switch {
	case len(args) == 2:
	case len(args) > 3:
		return appendError(dst, "ERR wrong number of arguments for 'acl|log' command")
	case isWord(args[2], "reset"):
		s.srv.aclLog.reset()
		return append(dst, replyOK...)
	default:
		var ok bool
		if count, ok = parseInt(args[2]); !ok {
			return appendError(dst, errTextNotInt)
		}
	}
	list, now := s.srv.aclLog.newest(max(count, 0)), time.Now()
	dst = appendArray(dst, len(list))
	for i := range list {
		e := &list[i]
		dst = appendInt(appendBulk(s.appendMap(dst, 7), "count"), e.count)
		dst = appendBulk(appendBulk(dst, "reason"), e.reason)
		dst = appendBulk(appendBulk(dst, "context"), e.context)
		dst = appendBulk(appendBulk(dst, "object"), e.object)
		dst = appendBulk(appendBulk(dst, "username"), e.user)
		dst = s.appendDouble(appendBulk(dst, "age-seconds"), now.Sub(e.at).Seconds())
		dst = appendBulk(appendBulk(dst, "client-info"), e.client)
	}
	return dst
}

// appendDouble appends a number with three digits behind the point, as the seconds of ACL LOG have.
func (s *session) appendDouble(dst []byte, v float64) []byte {
	text := strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v, 'f', 3, 64), "0"), ".")
	if s.protocol == backend.RESP3 {
		return append(append(append(dst, ','), text...), '\r', '\n')
	}
	return appendBulk(dst, text)
}
