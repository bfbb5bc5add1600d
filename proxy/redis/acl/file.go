package acl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxFileBytes bounds a file of users.
const maxFileBytes = 16 << 20

// ReadFile reads the users in a file, as Parse does.
func ReadFile(t *Table, path string) (*Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("read users: %s has %d bytes, want at most %d", path, info.Size(), maxFileBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	set, err := Parse(t, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return set, nil
}

// Parse reads users in the form of Redis' aclfile: a line for each, "user", the name, the rules. Empty lines and those
// that begin with # are left out. A default user that is not there is off. All errors are returned, each with its line;
// none repeats a password.
func Parse(t *Table, text []byte) (*Set, error) {
	var users []*User
	var errs []error
	lines := make(map[string]int)
	n := 0
	for line := range bytes.Lines(text) {
		n++
		fields := words(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if fields[0] != "user" || len(fields) < 2 {
			errs = append(errs, fmt.Errorf("line %d: want \"user NAME RULES\"", n))
			continue
		}
		name := fields[1]
		if hasSpaces(name) {
			errs = append(errs, fmt.Errorf("line %d: the name %q has characters that names cannot have", n, name))
			continue
		}
		if first := lines[name]; first != 0 {
			errs = append(errs, fmt.Errorf("line %d: user %s is already defined on line %d", n, name, first))
			continue
		}
		lines[name] = n
		u := newUser(t, name)
		for _, err := range applyAll(u, fields[2:]) {
			errs = append(errs, fmt.Errorf("line %d: user %s: %w", n, name, err))
		}
		users = append(users, u)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(users) == 0 {
		return nil, errors.New("there are no users, so nobody could come in")
	}
	if lines[Default] == 0 {
		users = append(users, newUser(t, Default))
	}
	return newSet(users), nil
}

func applyAll(u *User, list []string) (errs []error) {
	rules, err := merge(list)
	if err != nil {
		return []error{err}
	}
	for _, rule := range rules {
		if err := u.apply(rule); err != nil {
			shown := fmt.Sprintf("%q", rule)
			if isSecret(rule) {
				shown = fmt.Sprintf("%q", rule[:1]+"...")
			}
			errs = append(errs, fmt.Errorf("rule %s: %w", shown, err))
		}
	}
	return errs
}

// words cuts a line at blanks. Others than these may be part of a password.
func words(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) })
}
