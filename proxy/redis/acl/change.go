package acl

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// NewUser is what ACL SETUSER makes of nothing: it is off, and may do nothing.
func NewUser(t *Table, name string) *User { return newUser(t, name) }

// ValidName reports whether Redis lets a user have that name.
func ValidName(name string) bool { return !hasSpaces(name) }

// With returns the user as ACL SETUSER makes it of u, which does not change. The error is that of Redis, which repeats what
// the client has sent.
func (u *User) With(args [][]byte) (next *User, errText string) {
	rules, at := mergeArgs(args)
	if at >= 0 {
		return nil, fmt.Sprintf("ERR Unmatched parenthesis in acl selector starting at '%s'.", args[at])
	}
	next = u.clone()
	for _, rule := range rules {
		if err := next.apply(rule); err != nil {
			return nil, fmt.Sprintf("ERR Error in ACL SETUSER modifier '%s': %s", rule, err)
		}
	}
	return next, ""
}

// mergeArgs joins the arguments of each selector to one rule. unmatched is the place of one that does not end, or negative.
func mergeArgs(args [][]byte) (rules []string, unmatched int) {
	begun := -1
	for i, arg := range args {
		if begun >= 0 {
			rules[len(rules)-1] += " " + string(arg)
		} else {
			rules = append(rules, string(arg))
			if !bytes.HasPrefix(arg, []byte("(")) {
				continue
			}
			begun = i
		}
		if bytes.HasSuffix(arg, []byte(")")) {
			begun = -1
		}
	}
	return rules, begun
}

// clone returns a user that may be changed.
func (u *User) clone() *User {
	c := &User{Name: u.Name, on: u.on, noPass: u.noPass, sanitize: u.sanitize, hashes: slices.Clone(u.hashes)}
	for _, s := range u.selectors {
		c.selectors = append(c.selectors, s.clone())
	}
	return c
}

// ruleEnd stands between the rules of a text. No rule has it within.
const ruleEnd = "\n"

// Text is all rules of the user, as ParseText reads them. It is the same for users that are the same, and has no password but
// only hashes.
func (u *User) Text() string { return strings.Join(u.rules(), ruleEnd) }

// ParseText returns the user of a name that Text has described. Unlike a line of a file it is not ambiguous whatever patterns have in
// them.
func ParseText(t *Table, name, text string) (*User, error) {
	u := newUser(t, name)
	for _, rule := range strings.Split(text, ruleEnd) {
		list := []string{rule}
		if !strings.HasPrefix(rule, "(") {
			list = words(rule) // of the first selector
		}
		for _, r := range list {
			if err := u.apply(r); err != nil {
				return nil, fmt.Errorf("user %q: %w", name, err)
			}
		}
	}
	return u, nil
}

// SetOf returns a Set of users, one of which is the default user.
func SetOf(users []*User) *Set { return newSet(users) }

// KeepsChannels reports whether a client of old may stay subscribed to what it is when its user becomes u.
func (u *User) KeepsChannels(old *User) bool {
	var allowed []string
	for _, s := range u.selectors {
		if s.allChannels {
			return true
		}
		allowed = append(allowed, s.channels...)
	}
	for _, s := range old.selectors {
		if s.allChannels {
			return false
		}
		for _, c := range s.channels {
			if !slices.Contains(allowed, c) {
				return false
			}
		}
	}
	return true
}
