package glob

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*", "abc", true}, {"a*c", "abc", true},
		{"a*d", "abc", false}, {"**c", "abc", true}, {"a?c", "abc", true}, {"a?", "a", false}, {"[abc]", "b", true},
		{"[^abc]", "b", false}, {"[^abc]", "d", true}, {"[a-c]x", "bx", true}, {"[c-a]x", "bx", true}, {"[a", "a", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {`[\]]`, "]", true}, {"a*b*c", "aXbYbZc", true}, {"*a*b", "ab", true},
		{strings.Repeat("a*", 30) + "b", strings.Repeat("a", 200), false},
	} {
		if got := Match([]byte(tc.pattern), []byte(tc.s)); got != tc.want {
			t.Errorf("%q %q: %v", tc.pattern, tc.s, got)
		}
	}
}
