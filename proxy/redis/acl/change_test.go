package acl

import (
	"math/rand"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

// changes are what ACL SETUSER is given, one after the other, for one user.
var changes = [][]string{
	{}, {"on", ">123", "+@scripting", "+set", "~x*"}, {"+nosuch"}, {"(~x"}, {"<nopw"}, {"#zz"}, {"(", "~x", "+get", ")"}, {"()"},
	{")"}, {"(+get) x"}, {"%~k"}, {"%RW~y", "%R~z"}, {"foo bar"}, {"~a b"}, {"&c", "&d"}, {"(~p)x &q +mget)", "+@read"}, {"<123", ">4", ">5"},
	{"~*"}, {"~more"}, {"allchannels"}, {"&more"}, {"+@all", "-@dangerous", "+keys"}, {"clearselectors"}, {"(%W~w* +@write -del)"},
	{"resetkeys", "~q", "off", "ON"}, {"+select|1", "+select|2"}, {"nopass"}, {"resetpass"}, {"reset"}, {"+config|nosuch"}, {"-select|1"},
	{"!0000000000000000000000000000000000000000000000000000000000000000"}, {""}, {"(~x) (~y)"}, {"(~x", "(~y)", "+get"},
}

// A change does what it does on a server, with the same errors.
func TestChangesAreTheServers(t *testing.T) {
	c := redistest.Dial(t)
	u := NewUser(testTable, "changed")
	for _, args := range changes {
		var asked [][]byte
		for _, arg := range args {
			asked = append(asked, []byte(arg))
		}
		next, errText := u.With(asked)
		got := c.DoArgs(list(append([]string{"ACL", "SETUSER", "changed"}, args...)...))
		if errText == "" {
			errText, u = "OK", next
		}
		if want, failed := got.(redistest.Error); failed && errText != string(want) || !failed && errText != "OK" {
			t.Errorf("%q: %s, the server has %v", args, errText, got)
		}
		line := ""
		for _, l := range c.Do("ACL", "LIST").([]any) {
			if s := l.(string); strings.HasPrefix(s, "user changed ") {
				line = s
			}
		}
		if sorted(line) != sorted(u.String()) {
			t.Errorf("%q:\n got %s\nwant %s", args, u, line)
		}
	}
}

// What a text describes is what it was made of, whatever the rules were.
func TestTextIsTheUser(t *testing.T) {
	rules := []string{"on", "off", "nopass", "resetpass", ">a", ">b", "<a", "sanitize-payload", "skip-sanitize-payload", "~*", "~a", "~b)", "~(c", "%R~r", "%W~w)", "resetkeys",
		"&*", "&a", "&b)", "&(", "resetchannels", "clearselectors", "(+get ~a)", "(~a) +@read &x)", "(+@all -@write %R~(z))", "(+select|1 ~*)", "reset"}
	for _, c := range categories {
		rules = append(rules, "+@"+c, "-@"+c)
	}
	for _, c := range testTable.commands {
		rules = append(rules, "+"+c.name, "-"+c.name)
		if len(c.subs) == 0 && c.parent == nil {
			rules = append(rules, "+"+c.name+"|x)")
		}
	}
	r := rand.New(rand.NewSource(1))
	for range 400 {
		u := NewUser(testTable, "u")
		for range 1 + r.Intn(12) {
			if next, errText := u.With([][]byte{[]byte(rules[r.Intn(len(rules))])}); errText == "" {
				u = next
			}
		}
		got, err := ParseText(testTable, "u", u.Text())
		if err != nil {
			t.Fatalf("%s: %v", u, err)
		}
		if got.Text() != u.Text() {
			t.Fatalf("got %q\nof  %q", got.Text(), u.Text())
		}
		for i, s := range u.selectors {
			s.allCommands = got.selectors[i].allCommands // all may be allowed one by one
			for c := range s.firstArgs {
				if s.allowed[c.index] {
					delete(s.firstArgs, c) // says nothing more
				}
			}
		}
		if !got.equal(u) {
			t.Fatalf("%q is not what it was made of", u.Text())
		}
	}
}

func TestKeepsChannels(t *testing.T) {
	user := func(rules string) *User { return ours(t, "u", rules) }
	for _, tc := range []struct {
		old, next string
		want      bool
	}{
		{"&*", "&*", true}, {"&*", "&a", false}, {"&a", "&*", true}, {"&a &b", "&b &a +get", true}, {"&a &b", "&a", false},
		{"&a (&b)", "&a &b", true}, {"&a", "(&*)", true}, {"(&*)", "&a", false}, {"", "off", true},
	} {
		if got := user(tc.next).KeepsChannels(user(tc.old)); got != tc.want {
			t.Errorf("%q after %q: %v", tc.next, tc.old, got)
		}
	}
}

func FuzzParseText(f *testing.F) {
	f.Add("on\n#a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3\n~x* resetchannels -@all +get\n(~y +set)")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseText(testTable, "u", text)
		if err != nil {
			return
		}
		again, err := ParseText(testTable, "u", u.Text())
		if err != nil || again.Text() != u.Text() {
			t.Errorf("%q: %q: %v", u.Text(), again.Text(), err)
		}
	})
}
