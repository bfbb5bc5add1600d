package cluster

import (
	"strings"
	"testing"
)

func TestSameReply(t *testing.T) {
	for _, tc := range []struct {
		command, a, b string
		want          bool
	}{
		{"GET k", "$1\r\nv\r\n", "$1\r\nv\r\n", true},
		{"GET k", ":99\r\n", ":100\r\n", false},
		{"TTL k", ":99\r\n", ":100\r\n", true},
		{"ttl k", ":99", ":100", true},
		{"TTL k", ":100\r\n", ":1000\r\n", false},
		{"TTL k", ":-1\r\n", ":1\r\n", false},
		{"TTL k", "-ERR\r\n", ":1\r\n", false},
		{"OBJECT IDLETIME k", ":0\r\n", ":1\r\n", true},
		{"OBJECT FREQ k", ":0\r\n", ":1\r\n", false},
		{"PTTL k", ":99\r\n", ":100\r\n", false},
	} {
		if got := SameReply(strings.Fields(tc.command), tc.a, tc.b); got != tc.want {
			t.Errorf("%s, %q and %q: %t", tc.command, tc.a, tc.b, got)
		}
	}
}
