package acl

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nexus-replication/nexus/proxy/redis/glob"
)

// Rights is what the user may do, for the scripts that it runs; "" if that is everything. They travel with the script,
// so that every replica decides by the same.
//
// A line for each selector, of words: + or - for whether commands that are not named are allowed, then the other
// commands (cname), first arguments (fname|arg, in hexadecimal digits), the patterns of keys (k, then r, w, b or t, then
// the pattern for Lua in hexadecimal digits), and those of channels (p). K and P stand for all.
func (u *User) Rights() string {
	u.once.Do(func() {
		if u.Unlimited() {
			return
		}
		lines := make([]string, len(u.selectors))
		for i, s := range u.selectors {
			lines[i] = s.rights()
		}
		u.rights = strings.Join(lines, "\n")
	})
	return u.rights
}

func (s *selector) rights() string {
	words := []string{"-"}
	if s.future {
		words[0] = "+"
	}
	for _, c := range s.table.commands {
		if !c.noScript && s.allowed[c.index] != s.future {
			words = append(words, "c"+c.name)
		}
		for _, arg := range s.firstArgs[c] {
			words = append(words, "f"+c.name+"|"+hex.EncodeToString([]byte(arg)))
		}
	}
	if s.allKeys {
		words = append(words, "K")
	}
	for _, p := range s.patterns {
		how := map[access]string{reads: "r", writes: "w", reads | writes: "b", touches: "t"}[p.access]
		words = append(words, fmt.Sprintf("k%s%x", how, glob.Lua(p.glob)))
	}
	if s.allowsAllKeys() {
		words = append(words, "A")
	}
	if s.allChannels {
		words = append(words, "P")
	}
	for _, c := range s.channels {
		words = append(words, fmt.Sprintf("p%x", glob.Lua(c)))
	}
	return strings.Join(words, " ")
}
