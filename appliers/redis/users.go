package redis

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// CommandVersion is the newest version of commands in the log that this program reads: 2 has ItemUsers. See
// raft.Config.CommandVersion.
const CommandVersion = 2

// usersKey holds the users of clients that entries have made, as a hash in the metadata database: their version, and a rule
// for each. Like settingsKey it goes into snapshots.
const usersKey = "raft.users"

const (
	usersVersionField = "version"
	usersNamePrefix   = "user:"
	usersCommand      = "USERS"
)

// Users are the users of clients that entries have made, as of one place in the log. They are not changed.
type Users struct {
	// Version counts the changes.
	Version uint64
	// Rules say what each user may do, by its name. They are for the proxy to read.
	Rules map[string]string
}

// UserChange gives a user a rule. Without one, the user is deleted.
type UserChange struct{ Name, Rule string }

// UsersItem changes users if their version is still that one. Apply's reply begins with a colon if it did, and not if it did
// not.
func UsersItem(version uint64, changes ...UserChange) Item {
	args := []string{usersCommand, strconv.FormatUint(version, 10)}
	for _, c := range changes {
		args = append(args, c.Name, c.Rule)
	}
	return Item{Flags: ItemUsers, Cmd: appendStrings(nil, args...)}
}

// parseUsersItem is the inverse of UsersItem.
func parseUsersItem(cmd []byte, scratch [][]byte) (version uint64, changes []UserChange, err error) {
	args, err := ParseCommand(cmd, scratch)
	if err != nil {
		return 0, nil, err
	}
	if len(args) < 4 || len(args)%2 != 0 || string(args[0]) != usersCommand {
		return 0, nil, errors.New("users are changed by a version, and names with rules")
	}
	if version, err = strconv.ParseUint(string(args[1]), 10, 64); err != nil {
		return 0, nil, fmt.Errorf("version of users: %w", err)
	}
	for i := 2; i < len(args); i += 2 {
		changes = append(changes, UserChange{Name: string(args[i]), Rule: string(args[i+1])})
	}
	return version, changes, nil
}

// with returns the users after changes.
func (u *Users) with(changes []UserChange) *Users {
	next := &Users{Version: u.Version + 1, Rules: maps.Clone(u.Rules)}
	if next.Rules == nil {
		next.Rules = make(map[string]string)
	}
	for _, c := range changes {
		if c.Rule == "" {
			delete(next.Rules, c.Name)
		} else {
			next.Rules[c.Name] = c.Rule
		}
	}
	return next
}

// addUsers adds an item that changes users. Whether it does is decided here, and not by the server: what the server holds
// is known, as nobody else writes there.
func (r *run) addUsers(cfg *Config, it *Item, item slot) error {
	if it.Flags != ItemUsers {
		return fmt.Errorf("a change of users has flags %#x, want %#x", uint8(it.Flags), uint8(ItemUsers))
	}
	version, changes, err := parseUsersItem(it.Cmd, r.args)
	if err != nil {
		return err
	}
	loud := r.settings.sendsAny()
	if loud {
		r.setEvents("")
	}
	r.sel(cfg.MetadataDB, slotMeta)
	if item.want >= 0 {
		r.speak(false)
	}
	if version == r.users.Version {
		r.users = r.users.with(changes)
		for _, c := range changes {
			args := []string{"HDEL", usersKey, usersNamePrefix + c.Name}
			if c.Rule != "" {
				args = []string{"HSET", usersKey, usersNamePrefix + c.Name, c.Rule}
			}
			r.out = append(r.out, appendStrings(nil, args...)...)
			r.slots = append(r.slots, slot{kind: slotUsers, want: -1})
		}
		item.cmd = appendStrings(nil, "HSET", usersKey, usersVersionField, strconv.FormatUint(r.users.Version, 10))
	} else {
		item.cmd = appendStrings(nil, "HGET", usersKey, usersVersionField)
	}
	r.out = append(r.out, item.cmd...)
	r.slots = append(r.slots, item)
	if loud {
		r.setEvents(r.settings.events)
	}
	return nil
}

// FollowUsers has fn called with the users that entries have made: now, and whenever there are others, before anybody is told
// that the entry was applied. While a backend that has lost its data is filled again, the users stay those that it had. fn
// must not wait for the log.
func (b *Backend) FollowUsers(fn func(*Users)) {
	b.usersMu.Lock()
	defer b.usersMu.Unlock()
	b.usersFollowers = append(b.usersFollowers, fn)
	fn(b.knownUsers)
}

// CommandsInUse is for raft.Config. A node that does not read changes of users, and gets those that there are in a snapshot, would
// let everybody in.
func (b *Backend) CommandsInUse() int {
	b.usersMu.Lock()
	defer b.usersMu.Unlock()
	if b.knownUsers.Version == 0 {
		return 0
	}
	return CommandVersion
}

// keepUsers takes the users that the backend has got up to its position.
func (b *Backend) keepUsers(u *Users) {
	if u == b.users {
		return
	}
	b.users = u
	b.usersMu.Lock()
	defer b.usersMu.Unlock()
	if u.Version <= b.knownUsers.Version {
		return
	}
	b.knownUsers = u
	for _, fn := range b.usersFollowers {
		fn(u)
	}
}

// readUsers reads the users that entries have made. c is in the metadata database.
func readUsers(c *conn) (*Users, error) {
	raw, err := c.one("HGETALL", usersKey)
	if err != nil {
		return nil, err
	}
	fields, err := parsePairs(raw)
	if err != nil {
		return nil, err
	}
	u := &Users{Rules: make(map[string]string)}
	if len(fields) == 0 {
		return u, nil
	}
	if u.Version, err = strconv.ParseUint(fields[usersVersionField], 10, 64); err != nil {
		return nil, fmt.Errorf("%s of %s: %w", usersVersionField, usersKey, err)
	}
	for field, value := range fields {
		if name, ok := strings.CutPrefix(field, usersNamePrefix); ok {
			u.Rules[name] = value
		}
	}
	return u, nil
}

// judgeUsers is for the reply to what addUsers has made of an item.
func judgeUsers(raw []byte) *runError {
	return &runError{text: "a change of users was answered with " + errorText(raw), diverged: true}
}
