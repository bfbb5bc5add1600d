package redis

import (
	"fmt"
	"strings"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
)

// Bounds of what ACL SETUSER may make.
const (
	maxUsers     = 10_000
	maxUserBytes = 16 << 10 // of one user
	maxAllUsers  = 16 << 20 // of all, in bytes
	// maxUserTries is how often a change is tried again when somebody else was faster.
	maxUserTries = 100
)

const (
	errTextUserName    = "ERR Usernames can't contain spaces or null characters"
	errTextDelDefault  = "ERR The 'default' user cannot be removed"
	errTextGivenUser   = "ERR nexus: the user 'default' is that of -proxyPassword: make another user, or change the flag, on every node"
	errTextUserContend = wordNotDone + "the users were changed by others again and again"
)

// errTextUsersFile is the reply to a change of users on a node with a file of them.
func errTextUsersFile(command string) string {
	return "ERR command '" + command + "' is refused by Nexus: users are those of the file that -users names: change it, on every node, and use ACL LOAD or SIGHUP"
}

func (s *session) cmdACLSetUser(dst []byte, args [][]byte) []byte {
	name := string(args[2])
	switch {
	case !s.srv.usersLogged():
		return appendError(dst, errTextUsersFile("acl|setuser"))
	case !acl.ValidName(name):
		return appendError(dst, errTextUserName)
	case name == acl.Default && s.srv.givenDefault():
		return appendError(dst, errTextGivenUser)
	}
	errText := s.changeUsers(args, func(told *backend.Users) ([]backend.UserChange, string) {
		u, errText := s.srv.changedUser(told, name, args[3:])
		if errText != "" {
			return nil, errText
		}
		change := backend.UserChange{Name: name, Rule: u.Text()}
		return []backend.UserChange{change}, tooManyUsers(told, change)
	})
	if errText != "" {
		return appendError(dst, errText)
	}
	return append(dst, replyOK...)
}

// changedUser returns the user that ACL SETUSER makes.
func (s *Server) changedUser(told *backend.Users, name string, rules [][]byte) (u *acl.User, errText string) {
	base := acl.NewUser(s.acl, name)
	if rule, ok := told.Rules[name]; ok {
		var err error
		if base, err = acl.ParseText(s.acl, name, rule); err != nil {
			return nil, wordNotDone + "the rule that the user has is of a newer version: " + reason(err)
		}
	} else if name == acl.Default {
		base = acl.DefaultUser(s.acl, "")
	}
	u, errText = base.With(rules)
	return u, oneLine.Replace(errText)
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// tooManyUsers returns why a change is too much, or "".
func tooManyUsers(told *backend.Users, c backend.UserChange) string {
	rule, there := told.Rules[c.Name]
	size := len(c.Name) + len(c.Rule)
	all := size - len(rule)
	for name, rule := range told.Rules {
		all += len(name) + len(rule)
	}
	switch {
	case size > maxUserBytes:
		return fmt.Sprintf("ERR nexus: the name and the rules of the user have %d bytes, at most %d are kept", size, maxUserBytes)
	case !there && len(told.Rules) >= maxUsers:
		return fmt.Sprintf("ERR nexus: there are %d users, which is the most: delete one with ACL DELUSER", maxUsers)
	case all > maxAllUsers && len(c.Rule) > len(rule):
		return fmt.Sprintf("ERR nexus: all users together have %d bytes, at most %d are kept: delete some with ACL DELUSER", all, maxAllUsers)
	}
	return ""
}

func (s *session) cmdACLDelUser(dst []byte, args [][]byte) []byte {
	if !s.srv.usersLogged() {
		return appendError(dst, errTextUsersFile("acl|deluser"))
	}
	for _, name := range args[2:] {
		if string(name) == acl.Default {
			return appendError(dst, errTextDelDefault)
		}
	}
	var changes []backend.UserChange
	errText := s.changeUsers(args, func(told *backend.Users) ([]backend.UserChange, string) {
		changes = changes[:0]
		seen := make(map[string]bool)
		for _, arg := range args[2:] {
			name := string(arg)
			if _, there := told.Rules[name]; there && !seen[name] {
				changes = append(changes, backend.UserChange{Name: name})
			}
			seen[name] = true
		}
		return changes, ""
	})
	if errText != "" {
		return appendError(dst, errText)
	}
	return appendInt(dst, int64(len(changes)))
}

// cmdACLSave: users of the log are kept as all that is in the log.
func (s *session) cmdACLSave(dst []byte, _ [][]byte) []byte {
	if !s.srv.usersLogged() {
		return appendError(dst, errTextUsersFile("acl|save"))
	}
	return append(dst, replyOK...)
}

// changeUsers puts a change of users into the log, made of what they are there. Neither a change by somebody else nor one of
// the client's own rights can come in between: the log takes a change only of the version that it was made of.
func (s *session) changeUsers(args [][]byte, change func(*backend.Users) ([]backend.UserChange, string)) (errText string) {
	s.changing.Store(true)
	defer func() {
		s.changing.Store(false)
		if s.noticeUsers(); s.dismissed.Load() {
			s.ended = true
		}
	}()
	if errText := s.catchUpUsers(); errText != "" {
		return errText
	}
	for range maxUserTries {
		told := s.toldUsers()
		if errText := s.stillAllowed(args); errText != "" {
			return errText
		}
		changes, errText := change(told)
		if errText != "" || len(changes) == 0 {
			return errText
		}
		done, errText := s.proposeUsers(told.Version, changes)
		if done || errText != "" {
			return errText
		}
	}
	return errTextUserContend
}

// toldUsers returns the users of the log, and sees to it that the session has its rules of these.
func (s *session) toldUsers() *backend.Users {
	s.srv.usersMu.Lock()
	defer s.srv.usersMu.Unlock()
	s.noticeUsers()
	return s.srv.logged.told
}

// stillAllowed returns why the client may not change users any more, or "".
func (s *session) stillAllowed(args [][]byte) (errText string) {
	switch {
	case s.ended || !s.authenticated:
		return errTextNoAuth
	case s.limited:
		return s.denied(s.srv.table.Lookup(args, s.srv.policyContext).Spec, args)
	}
	return ""
}

// proposeUsers reports whether the log has taken the change: it does not if the users have another version.
func (s *session) proposeUsers(version uint64, changes []backend.UserChange) (done bool, errText string) {
	if version == 0 {
		err := s.srv.unversed(s.phaseContext())
		s.clock.stop()
		if err != nil {
			return false, wordNotDone + reason(err)
		}
	}
	outcome, errText := s.propose([][]byte{backend.AppendOp(nil, backend.UsersItem(version, changes...))})
	switch {
	case errText != "":
		return false, errText
	case outcome.Replies[0].Err != nil:
		return false, lostReplyText(outcome.Replies[0].Err)
	}
	return strings.HasPrefix(string(outcome.Replies[0].Data), ":"), ""
}
