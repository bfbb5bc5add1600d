package acl

import (
	"slices"

	"github.com/nexus-replication/nexus/proxy/redis/glob"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// Kind is what a user lacks the permission for. The later ones say more.
type Kind uint8

const (
	Allowed Kind = iota
	DeniedCommand
	DeniedKey
	DeniedChannel
	// DeniedOption: an option of SORT that reads keys which the command does not name.
	DeniedOption
)

// Denial is the decision about a command. The zero value allows it.
type Denial struct {
	Kind Kind
	// Object is the name of the command, the key, the channel or the option.
	Object string
}

// Text is the error of Redis, without the leading "-".
func (d Denial) Text() string {
	switch d.Kind {
	case DeniedKey:
		return "NOPERM this user has no permissions to access one of the keys used as arguments"
	case DeniedChannel:
		return "NOPERM this user has no permissions to access one of the channels used as arguments"
	case DeniedOption:
		return "ERR " + d.Object + " option of SORT denied due to insufficient ACL permissions"
	}
	return "NOPERM this user has no permissions to run the '" + d.Object + "' command"
}

// Reason says it in the words of EXEC.
func (d Denial) Reason() string {
	switch d.Kind {
	case DeniedKey, DeniedOption:
		return "no permission to touch the specified keys"
	case DeniedChannel:
		return "no permission to access one of the channels used as arguments"
	}
	return "no permission to execute the command or subcommand"
}

// Explain says it in the words of ACL DRYRUN.
func (d Denial) Explain() string {
	switch d.Kind {
	case DeniedKey:
		return "This user has no permissions to access the '" + d.Object + "' key"
	case DeniedChannel:
		return "This user has no permissions to access the '" + d.Object + "' channel"
	}
	return "This user has no permissions to run the '" + d.Object + "' command"
}

// Check decides whether a user may run a command, whose arity is right. It does not keep args.
func (u *User) Check(spec *policy.Spec, args [][]byte) Denial {
	c := u.selectors[0].table.byName[spec.Name]
	if c == nil {
		return Denial{DeniedCommand, spec.Name}
	}
	keys, known := keysOf(c, spec, args)
	worst, at := DeniedCommand, 0
	for _, s := range u.selectors {
		kind, i := s.check(c, args, keys, known)
		if kind == Allowed {
			return u.checkOption(c, args)
		}
		if kind > worst || kind == worst && i > at {
			worst, at = kind, i
		}
	}
	if worst == DeniedCommand {
		return Denial{worst, c.name}
	}
	return Denial{worst, string(args[at])}
}

// check returns what a selector denies first, and where.
func (s *selector) check(c *command, args [][]byte, keys []keyRef, known bool) (Kind, int) {
	if !s.allows(c, args) {
		return DeniedCommand, 0
	}
	if !s.allKeys {
		if !known {
			return DeniedKey, len(args) - 1
		}
		for _, k := range keys {
			if !s.allowsKey(args[k.at], k.access) {
				return DeniedKey, k.at
			}
		}
	}
	if s.allChannels {
		return Allowed, 0
	}
	channels, patterns := channelsOf(c.name, args)
	for _, i := range channels {
		if !s.allowsChannel(args[i], patterns) {
			return DeniedChannel, i
		}
	}
	return Allowed, 0
}

func (s *selector) allows(c *command, args [][]byte) bool {
	if s.allCommands || c.anybody || s.allowed[c.index] {
		return true
	}
	for _, first := range s.firstArgs[c] {
		if len(args) > 1 && isWord(args[1], first) {
			return true
		}
	}
	return false
}

func (s *selector) allowsKey(key []byte, how access) bool {
	for i := range s.patterns {
		if p := &s.patterns[i]; p.access&how == how && glob.Match([]byte(p.glob), key) {
			return true
		}
	}
	return false
}

// allowsChannel: a pattern must be among those of the user, as it is.
func (s *selector) allowsChannel(channel []byte, isPattern bool) bool {
	if isPattern {
		return slices.Contains(s.channels, string(channel))
	}
	for _, p := range s.channels {
		if glob.Match([]byte(p), channel) {
			return true
		}
	}
	return false
}

// checkOption: SORT reads keys by a pattern only for who may read all keys.
func (u *User) checkOption(c *command, args [][]byte) Denial {
	option := followsPattern(c.name, args)
	if option == "" {
		return Denial{}
	}
	for _, s := range u.selectors {
		if s.allows(c, args) && s.allowsAllKeys() {
			return Denial{}
		}
	}
	return Denial{DeniedOption, option}
}

// allowsAllKeys reports whether every key may be read.
func (s *selector) allowsAllKeys() bool {
	return s.allKeys || slices.ContainsFunc(s.patterns, func(p pattern) bool { return p.glob == "*" && p.access&reads != 0 })
}
