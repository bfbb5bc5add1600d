package acl

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/glob"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

var (
	testTable  = NewTable()
	testPolicy = policy.NewTable()
)

func TestEveryCommandIsKnown(t *testing.T) {
	for _, s := range testPolicy.Specs() {
		if testTable.byName[s.Name] == nil {
			t.Errorf("%s: not in commands.txt", s.Name)
		}
	}
	for _, c := range testTable.commands {
		if len(c.subs) == 0 && testPolicy.Spec(c.name) == nil && c.name != "command" {
			t.Errorf("%s: not in the table of package policy", c.name)
		}
		for name := range c.categories {
			if !isCategory(name) {
				t.Errorf("%s: unknown category %s", c.name, name)
			}
		}
	}
}

// users are descriptions that a server and this package must understand in the same way.
var users = []string{
	"on nopass ~* &* +@all",
	"off",
	"on >x >y <x ~a:* %R~b* %W~c* &ch:* +@read -get",
	"on ~* +@all -@dangerous",
	"on +@all -@admin +config|get allkeys allchannels",
	"on +@all -config -acl|setuser ~x",
	"on %RW~k* %rw~k* %R~j %W~j +@write +@read +select|0 +select|1",
	"on reset on nopass +ping",
	"on +@string ~s:* (+@hash ~h:*) (%R~l:* +@list &x)",
	"on nocommands allkeys +client -client|kill -client|list",
	"on +@all -@write -@fast +@string ~* resetkeys ~?[a-c]\\*",
	"on skip-sanitize-payload +eval +@pubsub &a &b resetchannels &c*",
	"on +@stream +@sortedset ~* -@slow clearselectors",
}

func server(t *testing.T, c *redistest.Client, name, rules string) {
	t.Helper()
	c.Do("ACL", "DELUSER", name)
	if got := c.DoArgs(list(append([]string{"ACL", "SETUSER", name}, strings.Fields(rules)...)...)); got != any("OK") {
		t.Fatalf("%s: %v", rules, got)
	}
}

func ours(t *testing.T, name, rules string) *User {
	t.Helper()
	set, err := Parse(testTable, []byte("user "+name+" "+rules))
	if err != nil {
		t.Fatal(err)
	}
	return set.User(name)
}

// sorted makes descriptions comparable: a server names single commands in the order of a hash table.
func sorted(line string) string {
	words := strings.Fields(line)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestDescriptionIsTheServers(t *testing.T) {
	c := redistest.Dial(t)
	for _, rules := range users {
		server(t, c, "alice", rules)
		var want string
		for _, l := range c.Do("ACL", "LIST").([]any) {
			if strings.HasPrefix(l.(string), "user alice ") {
				want = l.(string)
			}
		}
		u := ours(t, "alice", rules)
		if got := u.String(); sorted(got) != sorted(want) {
			t.Errorf("%s\n got %s\nwant %s", rules, got, want)
		}
		if again := ours(t, "alice", strings.TrimPrefix(u.String(), "user alice ")); !again.equal(u) {
			t.Errorf("%s: read again it is %s", u, again)
		}
		info := fields(c.Do("ACL", "GETUSER", "alice"))
		d := u.Describe()[0]
		if d.Keys != info["keys"] || d.Channels != info["channels"] || sorted(d.Commands) != sorted(info["commands"].(string)) {
			t.Errorf("%s\n got %+v\nwant %v", rules, d, info)
		}
	}
}

func TestErrorsAreTheServers(t *testing.T) {
	c := redistest.Dial(t)
	for _, rule := range []string{
		"+nosuch", "+@nosuch", "-@", "+", "+config|nosuch", "+config|get|x", "+get|", "-get|x", "~* ~a", "&* &a", "#abc",
		"!abc", "<nosuch", "%X~a", "%RR~a", "what", "(+get", "(+nosuch ~a)", "((+get))",
	} {
		c.Do("ACL", "DELUSER", "alice")
		got := c.DoArgs(list(append([]string{"ACL", "SETUSER", "alice"}, strings.Fields(rule)...)...))
		_, err := Parse(testTable, []byte("user alice "+rule))
		refusal, isError := got.(redistest.Error)
		if !isError || err == nil {
			t.Errorf("%s: server %v, here %v", rule, got, err)
			continue
		}
		_, want, ok := strings.Cut(string(refusal), "': ")
		if ok && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", rule, err, want)
		}
	}
}

// commandLines are commands whose keys are found in all the ways there are. %s stands for a key.
var commandLines = []string{
	"get %s", "set %s v", "set %s v get", "set %s v ex 10 GET", "mget %s %s", "mset %s 1 %s 2", "del %s %s", "exists %s", "strlen %s",
	"append %s x", "getset %s x", "hset %s f v", "hget %s f", "lpush %s x", "lmove %s %s left left", "rename %s %s", "copy %s %s",
	"bitop and %s %s %s", "pfcount %s %s", "pfmerge %s %s", "sort %s", "sort %s store %s", "sort_ro %s", "sinterstore %s %s %s",
	"zunionstore %s 2 %s %s", "zunion 2 %s %s", "zinter x %s", "sintercard 2 %s %s", "zmpop 1 %s min", "blpop %s %s 1",
	"bzmpop 1 2 %s %s min", "georadius %s 1 1 1 km", "georadius %s 1 1 1 km store %s", "georadiusbymember %s m 1 km storedist %s",
	"xread streams %s 0", "xread count 1 block 0 streams %s %s 0 0", "xreadgroup group g c streams %s >", "xadd %s * f v",
	"xgroup create %s g 0", "xinfo stream %s", "eval x 1 %s", "eval x 2 %s %s a", "eval_ro x 1 %s", "fcall f 1 %s", "evalsha s 0",
	"bitfield %s get u8 0", "bitfield %s set u8 0 1", "bitfield_ro %s get u8 0", "object encoding %s", "memory usage %s",
	"publish ch:1 x", "subscribe a ch:1", "psubscribe ch:*", "psubscribe a*", "spublish c1 x", "unsubscribe q", "ping",
	"select 0", "select 1", "select 2", "config get x", "config set a b", "client kill x", "client id", "acl whoami",
	"acl setuser x", "multi", "watch %s", "flushall", "keys *", "scan 0", "auth x", "hello", "command", "command count", "quit",
	"touch %s", "expire %s 1", "restore %s 0 x", "smove %s %s m", "lcs %s %s", "migrate h 1 %s 0 1", "wait 0 0", "reset",
}

var testKeys = []string{"a:1", "b1", "c1", "k1", "j", "x", "s:1", "h:1", "l:1", "xa*", "other"}

// TestDecisionsAreTheServers asks ACL DRYRUN of a server.
func TestDecisionsAreTheServers(t *testing.T) {
	c := redistest.Dial(t)
	rnd := rand.New(rand.NewSource(1))
	asked, denied := 0, 0
	for _, rules := range users {
		server(t, c, "alice", rules)
		u := ours(t, "alice", rules)
		for _, line := range commandLines {
			for range 6 {
				text := line
				for strings.Contains(text, "%s") {
					text = strings.Replace(text, "%s", testKeys[rnd.Intn(len(testKeys))], 1)
				}
				args := list(strings.Fields(text)...)
				d := testPolicy.Lookup(args, policy.Context{Databases: 16, ReservedDB: 13})
				got := "OK"
				if denial := u.Check(d.Spec, args); denial.Kind != Allowed {
					got = denial.Explain()
					denied++
				}
				asked++
				want := fmt.Sprint(c.DoArgs(append(list("ACL", "DRYRUN", "alice"), args...)))
				if got != want {
					t.Errorf("%s\n%s: got %s, want %s", rules, text, got, want)
				}
			}
		}
	}
	if denied < asked/10 || denied > asked*9/10 {
		t.Errorf("%d of %d were denied: the test says little", denied, asked)
	}
}

// Where the server can be led to overlook a key, this package is stricter.
func TestStricterThanTheServer(t *testing.T) {
	u := ours(t, "alice", "on nopass +@all ~my:* ~streams")
	for line, want := range map[string]Kind{
		"georadius my:1 1 1 1 km store my:2 store other":   DeniedKey,
		"xreadgroup noack group g streams streams other >": DeniedKey,
		"xreadgroup group streams streams streams other >": DeniedKey,
		"xreadgroup group streams streams streams my:1 >":  Allowed,
		"xread nonsense streams my:1 0":                    DeniedKey,
		"sort my:1 by my:*":                                DeniedOption,
		"sort my:1 get #":                                  DeniedOption,
		"sort my:1 by nosort":                              Allowed,
		"sort my:1 store my:2 store other":                 DeniedKey,
		"zunion 99 other":                                  Allowed, // an error, whoever asks
	} {
		args := list(strings.Fields(line)...)
		d := testPolicy.Lookup(args, policy.Context{Databases: 16, ReservedDB: 13})
		if got := u.Check(d.Spec, args); got.Kind != want {
			t.Errorf("%s: %+v, want %d", line, got, want)
		}
	}
}

func TestFile(t *testing.T) {
	text := `
# who may come
user alice on >secret ~cache:* +@read
user bob on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b (~x +get) (~y
`
	_, err := Parse(testTable, []byte(text+"user alice on\nuser c +nosuch >hidden\nbad\nuser\nuser d #hidden"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"line 4: user bob: Unmatched parenthesis", "line 5: user alice is already defined on line 3",
		`line 6: user c: rule "+nosuch": Unknown command`, "line 7: want", "line 8: want", `line 9: user d: rule "#...": The password hash`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v: tells a password", err)
	}
	set, err := Parse(testTable, []byte(strings.Replace(text, "(~y", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		user, password string
		want           bool
	}{
		{"alice", "secret", true}, {"alice", "Secret", false}, {"alice", "", false}, {"bob", "secret", true}, {"default", "", false}, {"nobody", "x", false},
	} {
		if u := set.Authenticate([]byte(tc.user), []byte(tc.password)); (u != nil) != tc.want {
			t.Errorf("%s %q: %v", tc.user, tc.password, u)
		}
	}
	if set.User(Default).Open() {
		t.Error("the default user is on, though the file has others")
	}
	changed, err := Parse(testTable, []byte("user alice on >secret ~cache:* +@read\nuser bob on >secret"))
	if err != nil {
		t.Fatal(err)
	}
	kept := changed.Keeping(set)
	if kept.User("alice") != set.User("alice") || kept.User("bob") == set.User("bob") {
		t.Error("Keeping keeps what changed, or changes what is kept")
	}
}

func TestUnlimited(t *testing.T) {
	for rules, want := range map[string]bool{
		"+@all ~* &*": true, "+@all ~*": false, "+@all &*": false, "+@all -get ~* &*": false, "~x (+@all ~* &*)": true,
	} {
		u := ours(t, "a", rules)
		if u.Unlimited() != want || (u.Rights() == "") != want {
			t.Errorf("%s: unlimited %v, rights %q", rules, u.Unlimited(), u.Rights())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, rules := range users {
		f.Add("user alice " + rules + "\nuser default on nopass")
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := Parse(testTable, []byte(text))
		if err != nil {
			return
		}
		for _, name := range set.Names() {
			u := set.User(name)
			again, err := Parse(testTable, []byte(u.String()))
			if err != nil {
				t.Fatalf("%q cannot be read again: %v", u, err)
			}
			if got := again.User(name); got.String() != u.String() {
				t.Fatalf("%q is %q when it is read again", u, got)
			}
			_ = u.Rights()
			for _, line := range commandLines {
				args := list(strings.Fields(line)...)
				if d := testPolicy.Lookup(args, policy.Context{Databases: 16}); d.Spec != nil {
					u.Check(d.Spec, args)
				}
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	set, err := Parse(testTable, []byte("user a on nopass ~cache:* ~session:* +@read +@write -@dangerous"))
	if err != nil {
		b.Fatal(err)
	}
	u, args := set.User("a"), list("GET", "session:1")
	spec := testPolicy.Spec("get")
	b.ReportAllocs()
	for b.Loop() {
		if u.Check(spec, args).Kind != Allowed {
			b.Fatal("denied")
		}
	}
}

// The patterns that scripts get match what the globs match.
func TestLuaPatterns(t *testing.T) {
	c := redistest.Dial(t)
	rnd := rand.New(rand.NewSource(2))
	const alphabet = "ab-*?[]^\\%.\x00\xff\n"
	random := func(n int) string {
		b := make([]byte, rnd.Intn(n))
		for i := range b {
			b[i] = alphabet[rnd.Intn(len(alphabet))]
		}
		return string(b)
	}
	patterns := []string{"*", "", "a*", "[a-b]x", "[^a]", "[b-a]", "[]", "[^]", "[a", "\\", "a\\*", "[%-]", "[\\]]", "*a*b*"}
	for range 2000 {
		patterns = append(patterns, random(8))
	}
	matched := 0
	for _, p := range patterns {
		s := random(6)
		if rnd.Intn(3) == 0 {
			s = p
		}
		want := int64(0)
		if glob.Match([]byte(p), []byte(s)) {
			want = 1
			matched++
		}
		got := c.Do("EVAL", "return string.find(ARGV[1], ARGV[2]) and 1 or 0", "0", s, glob.Lua(p))
		if got != any(want) {
			t.Errorf("%q on %q: as Lua %q %v, want %d", p, s, glob.Lua(p), got, want)
		}
	}
	if matched < 100 {
		t.Errorf("only %d matched", matched)
	}
}
