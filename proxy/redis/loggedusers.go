package redis

import (
	"context"
	"errors"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
	"github.com/nexus-replication/nexus/raft"
)

// loggedUsers are the users that ACL SETUSER has made, through the log. They are not used on a node with a file of users.
//
// A node that has just started does not know yet what the log says of them: its backend may be empty, or older. Until it has
// seen one read barrier, nobody is let in as one of these users, or as the default user without a password.
type loggedUsers struct {
	told *backend.Users // what the log says, as far as it was applied here
	sure bool           // told was all that the log said at some moment since the start
}

// errUsersChanged is for a read that was allowed to a user who may not do it any more.
var errUsersChanged = errors.New("the rules of the user were changed meanwhile")

// usersLogged reports whether the users are those of the log.
func (s *Server) usersLogged() bool { return s.cfg.UsersFile == "" }

// givenDefault reports whether the default user is what -proxyPassword says, whatever the log says.
func (s *Server) givenDefault() bool { return s.cfg.Password != "" }

// takeUsers is called with the users of the log whenever they have changed, before anybody is told.
func (s *Server) takeUsers(told *backend.Users) {
	s.usersMu.Lock()
	defer s.usersMu.Unlock()
	if !s.usersLogged() {
		return
	}
	before := s.logged.told
	s.logged.told = told
	s.renewUsers(before)
}

// learnUsers makes sure that the node has all users that were changed before.
func (s *Server) learnUsers(ctx context.Context) error {
	if err := s.rep.Read(ctx, func(context.Context) error { return nil }); err != nil {
		return err
	}
	if s.usersSure.Load() {
		return nil
	}
	s.usersMu.Lock()
	defer s.usersMu.Unlock()
	if s.logged.sure {
		return nil // by another client, and clients have logged in since
	}
	s.logged.sure = true
	s.renewUsers(s.logged.told)
	s.usersSure.Store(true)
	if s.users.Load().User(acl.Default).Open() {
		return nil
	}
	for _, c := range s.sessionList() {
		c.limitStranger()
	}
	return nil
}

// renewUsers makes the users of the node those of the log, and closes clients who must not stay. Others find their new rules
// at their next command. usersMu is held.
func (s *Server) renewUsers(before *backend.Users) {
	old, told := s.users.Load(), s.logged.told
	users := []*acl.User{s.defaultUser()}
	for name, rule := range told.Rules {
		if name == acl.Default {
			continue
		}
		if u := old.User(name); u != nil && before.Rules[name] == rule {
			users = append(users, u)
		} else {
			users = append(users, s.readUser(name, rule))
		}
	}
	set := acl.SetOf(users).Keeping(old)
	s.users.Store(set)
	for _, c := range s.sessionList() {
		was := c.shownUser()
		if u := set.User(was.Name); u == nil || u != was && c.listens() && !u.KeepsChannels(was) {
			c.dismiss()
		}
	}
}

// defaultUser is the one without a name. usersMu is held.
func (s *Server) defaultUser() *acl.User {
	rule, changed := s.logged.told.Rules[acl.Default]
	switch {
	case s.givenDefault():
		return acl.DefaultUser(s.acl, s.cfg.Password)
	case !s.logged.sure:
		return acl.NewUser(s.acl, acl.Default)
	case changed:
		return s.readUser(acl.Default, rule)
	}
	return acl.DefaultUser(s.acl, "")
}

// readUser reads the rule of a user. One that is not understood, as it is of a newer version, lets nobody in.
func (s *Server) readUser(name, rule string) *acl.User {
	u, err := acl.ParseText(s.acl, name, rule)
	if err != nil {
		s.log.Error("a user is shut out on this node, since its rule is not understood", "user", name, "error", err)
		return acl.NewUser(s.acl, name)
	}
	return u
}

// dismiss closes a client that must not stay. One that has made that so itself gets its answer first. It does not wait, as
// entries are applied meanwhile: the end of a TLS connection can take seconds where the client does not read.
func (s *session) dismiss() {
	if s.changing.Load() {
		if s.dismissed.Store(true); s.changing.Load() {
			return // it has not looked yet
		}
	}
	go func() { _ = s.conn.Close() }()
}

// listens reports whether the client is subscribed. Any goroutine may call it.
func (s *session) listens() bool {
	s.shown.Lock()
	defer s.shown.Unlock()
	return s.shown.sub != nil
}

// limitStranger begins to treat the client as one that has to log in, unless it has. Any goroutine may call it.
func (s *session) limitStranger() {
	s.shown.Lock()
	defer s.shown.Unlock()
	if s.shown.authenticated {
		return
	}
	s.conn.SetAuthenticated(false)
	s.strangerSince.CompareAndSwap(0, time.Now().UnixNano())
}

// noticeUsers takes the rules that the user has now. The client of a user that is gone ends.
func (s *session) noticeUsers() {
	set := s.srv.users.Load()
	s.seen = set
	u := set.User(s.user.Name)
	if u == nil || u != s.user && !s.srv.usersLogged() {
		s.ended = true
		return
	}
	if u != s.user {
		s.showUser(u)
	}
	switch {
	case u.Name != acl.Default:
	case !s.authenticated && u.Open():
		s.setAuthenticated(true)
		s.unproven = s.srv.usersLogged()
	case s.unproven && !u.Open():
		// It came when that was so already, and this node had not heard of it.
		s.setAuthenticated(false)
	}
}

// userChanged reports whether the rules of the user are others than the session has.
func (s *session) userChanged() bool {
	set := s.srv.users.Load()
	return set != s.seen && set.User(s.user.Name) != s.user
}

// prove notes that the node had all changes of users up to a moment after the client came.
func (s *session) prove() {
	if s.unproven && !s.userChanged() {
		s.unproven = false
	}
}

// mayStillRead is called when the node has all that was committed before the reads were asked for, and reports whether the
// user may still do them.
func (s *session) mayStillRead() bool {
	if !s.userChanged() {
		return true
	}
	u := s.srv.users.Load().User(s.user.Name)
	if u == nil || s.unproven && !u.Open() {
		return false
	}
	for i := range s.reads.cmds[s.reads.from:] {
		c := &s.reads.cmds[s.reads.from+i]
		if c.call != nil || u.Check(c.spec, c.args).Kind != acl.Allowed {
			return false // a script carries the rights of before
		}
	}
	return true
}

// beforeUsers are commands that anybody may use while it is not known who has to log in: they say how the node is, and what
// the session is.
var beforeUsers = map[string]bool{
	"auth": true, "hello": true, "quit": true, "reset": true, "ping": true, "echo": true, "info": true, "select": true, "time": true,
	"client|getname": true, "client|id": true, "client|setinfo": true, "client|setname": true,
	"nexus|help": true, "nexus|members": true, "nexus|status": true,
}

// awaitUsers makes sure, for a client that has not logged in, that it is known whether it has to. It reports false with the
// answer if that cannot be found out.
func (s *session) awaitUsers(name string) bool {
	if s.mustLogIn = s.srv.usersSure.Load(); s.mustLogIn {
		if s.srv.users.Load() != s.seen {
			s.noticeUsers() // that became known just now
		}
		return true
	}
	if beforeUsers[name] {
		return true
	}
	text := s.catchUpUsers()
	if text == "" {
		s.mustLogIn = true
		s.noticeUsers()
		return true
	}
	s.endPhase()
	s.abort()
	s.out = appendError(s.out, text)
	return false
}

// catchUpUsers is learnUsers with the error as a reply.
func (s *session) catchUpUsers() (errText string) {
	if !s.srv.usersLogged() {
		return ""
	}
	err := errEarlier
	if !s.failed {
		err = s.srv.learnUsers(s.phaseContext())
		s.clock.stop()
	}
	if err != nil {
		s.fail(err, true)
		return readErrorText(err)
	}
	s.prove()
	return ""
}

// unversed returns why no user can be changed yet: a member would stop at that. Once one was, none is of so old a version.
func (s *Server) unversed(ctx context.Context) error {
	for {
		members := s.rep.MembersWithout(backend.CommandVersion)
		if len(members) == 0 {
			return nil
		}
		select {
		case <-time.After(versedPause):
		case <-ctx.Done():
			return unversedError(members[0])
		}
	}
}

const versedPause = 50 * time.Millisecond

type unversedError raft.Member

func (e unversedError) Error() string {
	return "the member " + e.URL + " is of an older version, which stops at a change of users, or has not said what it reads since this node was started"
}
