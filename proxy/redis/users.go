package redis

import (
	"errors"
	"fmt"

	"github.com/nexus-replication/nexus/proxy/redis/acl"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
)

// errNoUsersFile is what LoadUsers returns without Config.UsersFile.
var errNoUsersFile = errors.New("this node has no file of users; start it with -users FILE")

// readUsers returns the users that cfg names, without those of the log.
func readUsers(t *acl.Table, cfg *Config) (*acl.Set, error) {
	switch {
	case cfg.UsersFile != "":
		return acl.ReadFile(t, cfg.UsersFile)
	case cfg.Password != "":
		return acl.DefaultOnly(t, cfg.Password), nil
	}
	// Until it is known what the log says: see loggedUsers.
	return acl.SetOf([]*acl.User{acl.NewUser(t, acl.Default)}), nil
}

// LoadUsers reads the file of users again. If all of it is right, it holds from now on, and the clients of users that have
// changed or are gone are closed; otherwise nothing changes.
func (s *Server) LoadUsers() error {
	if s.cfg.UsersFile == "" {
		return errNoUsersFile
	}
	closed, err := s.loadUsers(nil)
	if err != nil {
		s.log.Error("the file of users was not taken, those of before stay", "error", err)
		return err
	}
	s.log.Info("users were loaded", "file", s.cfg.UsersFile, "users", len(s.users.Load().Names()), "closed", closed)
	return nil
}

// loadUsers lets self, if it is to be closed, take its reply before.
func (s *Server) loadUsers(self *session) (closed int, err error) {
	s.usersMu.Lock()
	defer s.usersMu.Unlock()
	set, err := readUsers(s.acl, &s.cfg)
	if err != nil {
		return 0, err
	}
	set = set.Keeping(s.users.Load())
	s.users.Store(set)
	for _, c := range s.sessionList() {
		if u := c.shownUser(); set.User(u.Name) == u {
			continue
		}
		closed++
		if c == self {
			c.ended = true
			continue
		}
		_ = c.conn.Close()
	}
	return closed, nil
}

// setUser makes the client another user. A user that was changed meanwhile is not to go on: loadUsers, which closes those
// that it finds, may have looked at this client before.
func (s *session) setUser(u *acl.User) {
	s.showUser(u)
	s.unproven = false
	s.seen = s.srv.users.Load()
	if s.seen.User(u.Name) == u {
		return
	}
	if s.srv.usersLogged() {
		s.seen = nil // its new rules are found at the next command
		return
	}
	s.ended = true
}

// showUser gives the client the rules of a user.
func (s *session) showUser(u *acl.User) {
	s.user, s.limited = u, !u.Unlimited()
	s.shown.Lock()
	s.shown.user = u
	s.shown.Unlock()
}

func (s *session) shownUser() *acl.User {
	s.shown.Lock()
	defer s.shown.Unlock()
	return s.shown.user
}

// beDefault makes the client what it was when it came.
func (s *session) beDefault() {
	u := s.srv.users.Load().User(acl.Default)
	s.setUser(u)
	s.setAuthenticated(u.Open())
	s.unproven = s.authenticated && s.srv.usersLogged()
}

// caller is what a script gets to know of the client.
func (s *session) caller() script.Caller {
	c := script.Caller{DB: s.db}
	if s.limited {
		c.Rights = s.user.Rights()
	}
	return c
}

// denied returns the error for a command that the user may not run, or "".
func (s *session) denied(spec *policy.Spec, args [][]byte) string {
	d := s.user.Check(spec, args)
	if d.Kind == acl.Allowed {
		return ""
	}
	context := "toplevel"
	if s.multi != nil {
		context = "multi"
	}
	s.noteDenial(d, context)
	return d.Text()
}

// deniedAtExec is denied for a command of a transaction whose client has become another user since.
func (s *session) deniedAtExec(spec *policy.Spec, args [][]byte) string {
	d := s.user.Check(spec, args)
	if d.Kind == acl.Allowed {
		return ""
	}
	s.noteDenial(d, "multi")
	return fmt.Sprintf("NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "+
		"This command is no longer allowed for the following reason: %s", d.Reason())
}
