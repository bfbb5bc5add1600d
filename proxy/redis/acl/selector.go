package acl

import (
	"maps"
	"slices"
	"strings"
)

// pattern is a pattern of keys and how they may be used.
type pattern struct {
	glob   string
	access access
}

// selector is one set of rules. What a command needs must all be in one selector.
type selector struct {
	table *Table

	allCommands bool // none was taken away
	future      bool // began with +@all: also commands that are not known here
	allowed     []bool
	firstArgs   map[*command][]string // +select|0

	allKeys     bool
	patterns    []pattern
	allChannels bool
	channels    []string
}

func newSelector(t *Table) *selector {
	return &selector{table: t, allowed: make([]bool, len(t.commands)), firstArgs: make(map[*command][]string)}
}

func (s *selector) clone() *selector {
	c := *s
	c.allowed, c.patterns, c.channels = slices.Clone(s.allowed), slices.Clone(s.patterns), slices.Clone(s.channels)
	c.firstArgs = make(map[*command][]string, len(s.firstArgs))
	for of, args := range s.firstArgs {
		c.firstArgs[of] = slices.Clone(args)
	}
	return &c
}

// setAll allows all commands or none.
func (s *selector) setAll(allow bool) {
	s.allCommands, s.future = allow, allow
	for i := range s.allowed {
		s.allowed[i] = allow
	}
	clear(s.firstArgs)
}

// set allows or denies a command with all of its subcommands.
func (s *selector) set(c *command, allow bool) {
	s.allowed[c.index] = allow
	s.allCommands = s.allCommands && allow
	delete(s.firstArgs, c)
	for _, sub := range c.subs {
		s.set(sub, allow)
	}
}

func (s *selector) setCategory(name string, allow bool) {
	for _, c := range s.table.commands {
		if c.categories[name] {
			s.set(c, allow)
		}
	}
}

// unlimited reports whether everything is allowed.
func (s *selector) unlimited() bool { return s.allCommands && s.allKeys && s.allChannels }

// setCommand applies a rule about commands, with its sign: +get, -config|set, +@read, +select|0.
func (s *selector) setCommand(rule string) error {
	allow, name := rule[0] == '+', strings.ToLower(rule[1:])
	if category, ok := strings.CutPrefix(name, "@"); ok {
		if !isCategory(category) {
			return errUnknown
		}
		s.setCategory(category, allow)
		return nil
	}
	if c := s.table.byName[name]; c != nil {
		s.set(c, allow)
		return nil
	}
	i := strings.LastIndexByte(name, '|')
	if i < 0 || !allow {
		return errUnknown
	}
	c, arg := s.table.byName[name[:i]], name[i+1:]
	switch {
	case c == nil:
		return errUnknown
	case c.parent != nil:
		return errFirstArg
	case arg == "" || hasSpaces(arg):
		return errSyntax
	case len(c.subs) > 0:
		return errUnknown
	}
	if !slices.Contains(s.firstArgs[c], arg) {
		s.firstArgs[c] = append(s.firstArgs[c], arg)
	}
	return nil
}

// addPattern applies ~pattern, %R~pattern and their kind.
func (s *selector) addPattern(rule string) error {
	if s.allKeys {
		return errKeysGiven
	}
	how, text := reads|writes, rule[1:]
	if rule[0] == '%' {
		marks, rest, ok := strings.Cut(text, "~")
		if !ok {
			return errSyntax
		}
		how, text = 0, rest
		for _, m := range strings.ToUpper(marks) {
			bit := map[rune]access{'R': reads, 'W': writes}[m]
			if bit == 0 || how&bit != 0 {
				return errSyntax
			}
			how |= bit
		}
		if how == 0 {
			return errSyntax
		}
	}
	if hasSpaces(text) {
		return errSyntax
	}
	for i := range s.patterns {
		if s.patterns[i].glob == text {
			s.patterns[i].access |= how
			return nil
		}
	}
	s.patterns = append(s.patterns, pattern{text, how})
	return nil
}

func (s *selector) addChannel(text string) error {
	switch {
	case s.allChannels:
		return errChannelsGiven
	case hasSpaces(text):
		return errSyntax
	}
	if !slices.Contains(s.channels, text) {
		s.channels = append(s.channels, text)
	}
	return nil
}

func (s *selector) equal(o *selector) bool {
	return s.allCommands == o.allCommands && s.future == o.future && s.allKeys == o.allKeys && s.allChannels == o.allChannels &&
		slices.Equal(s.allowed, o.allowed) && slices.Equal(s.patterns, o.patterns) && slices.Equal(s.channels, o.channels) &&
		maps.EqualFunc(s.firstArgs, o.firstArgs, func(a, b []string) bool { return slices.Equal(a, b) })
}

// hasSpaces is what Redis asks of names and patterns.
func hasSpaces(s string) bool { return strings.ContainsAny(s, " \t\n\v\f\r\x00") }
