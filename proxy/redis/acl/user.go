package acl

import (
	"crypto/subtle"
	"slices"
	"sort"
	"sync"
)

// Default is the name of the user of connections that have not said who they are.
const Default = "default"

// User is a user with its rules. Users in a Set do not change.
type User struct {
	Name string

	on, noPass bool
	sanitize   string
	hashes     []string
	selectors  []*selector // the first is that of the rules outside of parentheses

	once   sync.Once
	rights string
}

// newUser is one that may do nothing.
func newUser(t *Table, name string) *User {
	return &User{Name: name, selectors: []*selector{newSelector(t)}}
}

// Open reports whether clients are this user without a password.
func (u *User) Open() bool { return u.on && u.noPass }

// NoPassword reports whether any password is right.
func (u *User) NoPassword() bool { return u.noPass }

// Unlimited reports whether the user may do everything, so that nothing need be checked.
func (u *User) Unlimited() bool { return slices.ContainsFunc(u.selectors, (*selector).unlimited) }

func (u *User) equal(o *User) bool {
	return u.Name == o.Name && u.on == o.on && u.noPass == o.noPass && u.sanitize == o.sanitize &&
		slices.Equal(u.hashes, o.hashes) && slices.EqualFunc(u.selectors, o.selectors, (*selector).equal)
}

// Set is all users. There is always a default user.
type Set struct {
	users map[string]*User
	names []string // in order
}

// DefaultOnly is the Set of a node that has no file of users: the default user may do everything, with a password if one
// is given.
func DefaultOnly(t *Table, password string) *Set { return newSet([]*User{DefaultUser(t, password)}) }

// DefaultUser is the default user where nothing else is said: see DefaultOnly.
func DefaultUser(t *Table, password string) *User {
	u := newUser(t, Default)
	u.on, u.noPass = true, password == ""
	if password != "" {
		u.hashes = []string{hashOf([]byte(password))}
	}
	root := u.selectors[0]
	root.setAll(true)
	root.allKeys, root.allChannels = true, true
	return u
}

func newSet(users []*User) *Set {
	s := &Set{users: make(map[string]*User, len(users))}
	for _, u := range users {
		s.users[u.Name] = u
		s.names = append(s.names, u.Name)
	}
	sort.Strings(s.names)
	return s
}

// User returns the user of a name, or nil.
func (s *Set) User(name string) *User { return s.users[name] }

// Names are those of all users, in order.
func (s *Set) Names() []string { return s.names }

// Authenticate returns the user if the password is right, and nil otherwise. The time it takes does not tell whether
// there is such a user, nor anything about the password.
func (s *Set) Authenticate(name, password []byte) *User {
	given := []byte(hashOf(password))
	u := s.users[string(name)]
	if u == nil || !u.on {
		subtle.ConstantTimeCompare(given, given)
		return nil
	}
	right := 0
	for _, hash := range u.hashes {
		right |= subtle.ConstantTimeCompare(given, []byte(hash))
	}
	if right == 1 || u.noPass {
		return u
	}
	return nil
}

// Keeping returns s with the users of old that are the same in both, so that who holds one of these can tell by the
// pointer that it has not changed.
func (s *Set) Keeping(old *Set) *Set {
	users := make([]*User, 0, len(s.users))
	for _, name := range s.names {
		u := s.users[name]
		if was := old.users[name]; was != nil && was.equal(u) {
			u = was
		}
		users = append(users, u)
	}
	return newSet(users)
}
