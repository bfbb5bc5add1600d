package acl

import "strings"

// Flags are those that ACL GETUSER shows.
func (u *User) Flags() []string {
	flags := []string{"off"}
	if u.on {
		flags[0] = "on"
	}
	if u.noPass {
		flags = append(flags, "nopass")
	}
	if u.sanitize != "" {
		flags = append(flags, u.sanitize)
	}
	return flags
}

// Passwords are the SHA-256 of the passwords, in hexadecimal digits.
func (u *User) Passwords() []string { return u.hashes }

// String describes the user as a line of the file of users.
func (u *User) String() string {
	return strings.Join(append([]string{"user", u.Name}, u.rules()...), " ")
}

// rules are those that make the user of a new one. Those of the first selector are not taken apart.
func (u *User) rules() []string {
	list := u.Flags()
	for _, hash := range u.hashes {
		list = append(list, "#"+hash)
	}
	for i, s := range u.selectors {
		text := s.String()
		if i > 0 {
			text = "(" + text + ")"
		}
		list = append(list, text)
	}
	return list
}

func (s *selector) String() string {
	d := s.describe()
	parts := []string{}
	if d.Keys != "" {
		parts = append(parts, d.Keys)
	}
	if !s.allChannels {
		parts = append(parts, "resetchannels")
	}
	if d.Channels != "" {
		parts = append(parts, d.Channels)
	}
	return strings.Join(append(parts, d.Commands), " ")
}

// Description is what ACL GETUSER says of a selector.
type Description struct{ Commands, Keys, Channels string }

// Describe describes all selectors, the first of which is that of the rules outside of parentheses.
func (u *User) Describe() []Description {
	list := make([]Description, len(u.selectors))
	for i, s := range u.selectors {
		list[i] = s.describe()
	}
	return list
}

func (s *selector) describe() Description {
	keys, channels := "~*", "&*"
	if !s.allKeys {
		var list []string
		for _, p := range s.patterns {
			list = append(list, p.String())
		}
		keys = strings.Join(list, " ")
	}
	if !s.allChannels {
		var list []string
		for _, c := range s.channels {
			list = append(list, "&"+c)
		}
		channels = strings.Join(list, " ")
	}
	return Description{Commands: s.commandRules(), Keys: keys, Channels: channels}
}

func (p pattern) String() string {
	switch p.access {
	case reads:
		return "%R~" + p.glob
	case writes:
		return "%W~" + p.glob
	case reads | writes:
		return "~" + p.glob
	}
	return "%~" + p.glob
}

// commandRules finds few rules that lead to what the selector allows, as Redis does: all or nothing first, then the
// categories that fit best, one after the other, and in the end the single commands that are left.
func (s *selector) commandRules() string {
	got := newSelector(s.table)
	got.setAll(s.future)
	rules, sign := []string{"-@all"}, "+"
	if s.future {
		rules, sign = []string{"+@all"}, "-"
	}
	rest := newSelector(s.table) // what no rule accounts for yet
	copy(rest.allowed, s.allowed)
	applied := make(map[string]bool)
	for best := rest.bestCategory(!s.future, applied); best != ""; best = rest.bestCategory(!s.future, applied) {
		rules = append(rules, sign+"@"+best)
		got.setCategory(best, !s.future)
		rest.setCategory(best, s.future)
		applied[best] = true
	}
	for _, c := range s.table.commands {
		if allow := s.allowed[c.index]; allow != got.allowed[c.index] {
			rules = append(rules, map[bool]string{true: "+", false: "-"}[allow]+c.name)
			got.set(c, allow)
		}
		if s.allowed[c.index] {
			continue // with any argument
		}
		for _, arg := range s.firstArgs[c] {
			rules = append(rules, "+"+c.name+"|"+arg)
		}
	}
	return strings.Join(rules, " ")
}

// bestCategory returns the category most of whose commands are allowed (or denied), with the fewest that are not.
func (s *selector) bestCategory(allowed bool, applied map[string]bool) (best string) {
	fewest, most := len(s.allowed)+1, 0
	for _, name := range categories {
		if applied[name] {
			continue
		}
		same, other := 0, 0
		for _, c := range s.table.commands {
			switch {
			case !c.categories[name]:
			case s.allowed[c.index] == allowed:
				same++
			default:
				other++
			}
		}
		if same > other && (other < fewest || other == fewest && same > most) {
			best, fewest, most = name, other, same
		}
	}
	return best
}
