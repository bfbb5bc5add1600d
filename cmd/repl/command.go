package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/nexus-replication/nexus/raft"
)

// command is a command line, understood.
type command struct {
	addr string
	verb *verb
	// args are those of the verb.
	args []string

	// access is how the node knows the caller, and the caller the node.
	access  access
	json    bool
	force   bool
	timeout time.Duration
	// interval and count are those of watch and top; count 0 is without end.
	interval time.Duration
	count    int
	help     bool
	man      bool
	version  bool
}

// parse takes the flags from wherever they stand among the arguments, and the verb and its arguments from the rest.
func parse(args []string) (*command, error) {
	c := &command{}
	fs := flag.NewFlagSet("repl", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.BoolVar(&c.json, "json", false, "")
	fs.BoolVar(&c.force, "force", false, "")
	fs.DurationVar(&c.timeout, "timeout", time.Minute, "")
	fs.DurationVar(&c.interval, "interval", 2*time.Second, "")
	fs.IntVar(&c.count, "count", 0, "")
	fs.BoolVar(&c.man, "man", false, "")
	c.access.declare(fs)
	fs.BoolVar(&c.help, "h", false, "")
	fs.BoolVar(&c.help, "help", false, "")
	fs.BoolVar(&c.version, "version", false, "")
	words, err := interspersed(fs, args)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; repl -h shows the usage", errUsage, err)
	}
	if c.version || c.man {
		return c, nil
	}
	if c.interval < 100*time.Millisecond {
		return nil, fmt.Errorf("%w: flag -interval: %v is too short, want 100ms or more", errUsage, c.interval)
	}
	if c.count < 0 {
		return nil, fmt.Errorf("%w: flag -count: %d is no number of looks, want 1 or more, or 0 for no end", errUsage, c.count)
	}
	if c.timeout <= 0 {
		return nil, fmt.Errorf("%w: flag -timeout: %v is no time to wait, want more than 0, such as 10s", errUsage, c.timeout)
	}
	if v, args := findVerb(words); v != nil && v.offline {
		c.verb, c.args = v, args
		if c.help {
			return c, nil
		}
		if err := v.check(args); err != nil {
			return nil, fmt.Errorf("%w: %w; the usage is: repl %s", errUsage, err, v.line())
		}
		return c, nil
	}
	if len(words) > 0 && (strings.Contains(words[0], ":") || !c.help) {
		c.addr, words = words[0], words[1:]
		if err := checkAddr(c.addr); err != nil {
			return nil, err
		}
	}
	c.verb, c.args = findVerb(words)
	if c.help {
		return c, nil
	}
	if c.addr == "" {
		return nil, fmt.Errorf("%w: the address of a node is missing, want: repl HOST:PORT VERB ...; repl -h shows the verbs", errUsage)
	}
	if c.verb != nil && !given(fs, "timeout") {
		c.timeout = c.verb.patience(c.timeout)
	}
	if c.verb == nil {
		return nil, fmt.Errorf("%w: %s; repl -h shows the verbs", errUsage, noVerb(words))
	}
	if err := c.verb.check(c.args); err != nil {
		return nil, fmt.Errorf("%w: %w; the usage is: repl HOST:PORT %s", errUsage, err, c.verb.usage)
	}
	return c, nil
}

// given tells whether a flag was among the arguments.
func given(fs *flag.FlagSet, name string) (found bool) {
	fs.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// interspersed parses flags among other arguments. What contains a blank or a line break is never a flag but a
// statement, which may begin with the "--" of a comment.
func interspersed(fs *flag.FlagSet, args []string) (words []string, err error) {
	for len(args) > 0 {
		switch arg := args[0]; {
		case arg == "--":
			return append(words, args[1:]...), nil
		case len(arg) < 2 || arg[0] != '-' || strings.ContainsAny(arg, " \t\n"):
			words, args = append(words, arg), args[1:]
		default:
			if err := fs.Parse(args); err != nil {
				return nil, err
			}
			args = args[len(args)-fs.NArg():]
		}
	}
	return words, nil
}

func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && !strings.Contains(host, "/") {
		if _, err = net.LookupPort("tcp", port); err == nil && port != "" && port != "0" {
			return nil
		}
	}
	return fmt.Errorf("%w: %q is not the address of a node, want HOST:PORT of its -grpcPort, such as 127.0.0.1:9121", errUsage, addr)
}

func noVerb(words []string) string {
	if len(words) == 0 {
		return "the verb is missing"
	}
	if slices.Contains([]string{"redis", "mysql"}, words[0]) {
		return fmt.Sprintf("%q wants save or load behind it", words[0])
	}
	text := fmt.Sprintf("%q is not a verb", words[0])
	if v := nearestVerb(words[0]); v != "" {
		text += fmt.Sprintf(", %s is", v)
	}
	return text
}

// nearestVerb is the verb that a word was probably meant to be, or "".
func nearestVerb(word string) (nearest string) {
	word = strings.ToLower(word)
	least := len(word)/3 + 1
	for _, v := range verbs() {
		name := strings.ToLower(v.name)
		if strings.HasPrefix(name, word) {
			return v.name
		}
		if d := levenshtein.ComputeDistance(name, word); d < least {
			nearest, least = v.name, d
		}
	}
	return nearest
}

// verb is something that repl can do.
type verb struct {
	// name is one word or two.
	name  string
	usage string
	help  string
	check func(args []string) error
	run   func(*session, []string) error
	// slow verbs may have to move all data; endless ones go on until they are interrupted.
	slow, endless bool
	// offline verbs need no node.
	offline  bool
	examples []string
}

// patience is how long the verb may take; 0 for as long as it likes.
func (v *verb) patience(usual time.Duration) time.Duration {
	switch {
	case v.endless:
		return 0
	case v.slow:
		return time.Hour
	}
	return usual
}

func verbs() []verb {
	const statement = "ARG=VALUE is db.index=N, the database (0 if it is left out). Lua that could do something else on another replica\n" +
		"(chance, the clock, expiry, unknown commands) is refused.\n"
	const database = "NAME is the database in which it is executed, that of the node's -mysqlConnUrl if it is left out.\n"
	return []verb{
		{name: "redis save", usage: "redis save [ARG=VALUE ...] LUA", check: checkStatement, run: (*session).save,
			help:     "Run a Lua statement on every replica.\n\n" + statement,
			examples: []string{`127.0.0.1:9121 redis save db.index=2 "return redis.call('incr', 'ctr')"`}},
		{name: "redis load", usage: "redis load [ARG=VALUE ...] LUA", check: checkStatement, run: (*session).load,
			help:     "Run a Lua statement that only reads, and see everything acknowledged before.\n\n" + statement,
			examples: []string{`127.0.0.1:9121 redis load db.index=2 "return redis.call('keys', '*')"`}},
		{name: "mysql save", usage: "mysql save [db=NAME] SQL", check: checkStatement, run: (*session).saveMySQL,
			help:     "Execute SQL statements, of which each is a transaction, with semicolons between.\n\n" + database,
			examples: []string{`127.0.0.1:9131 mysql save "insert into t values (1)"`}},
		{name: "mysql load", usage: "mysql load [db=NAME] SQL", check: checkStatement, run: (*session).loadMySQL,
			help:     "Execute SQL that only reads, and see everything acknowledged before.\n\n" + database,
			examples: []string{`127.0.0.1:9131 mysql load "select * from nexus.t"`}},
		{name: "listNodes", usage: "listNodes", check: wantArgs(0, 0), run: (*session).listNodes,
			help: "List the members of the cluster, as the asked node knows them.\n"},
		{name: "addNode", usage: "addNode URL", check: checkURLs(1, 1), run: (*session).addNode, slow: true,
			help:     "Add the node that was started with -nexus-node-url URL. It votes when it has caught up.\n",
			examples: []string{"127.0.0.1:9121 addNode http://10.0.0.4:9021"}},
		{name: "removeNode", usage: "removeNode URL", check: checkURLs(1, 1), run: (*session).removeNode,
			help: "Remove a node for good. It stops serving; to use its machine again, start it with -nexus-wipe-removed.\n" +
				"With -force also where the reachable rest would be no majority.\n"},
		{name: "replaceNode", usage: "replaceNode URL [NEWURL]", check: checkURLs(1, 2), run: (*session).replaceNode, slow: true,
			help: "Replace a node whose data or machine is lost by one with an empty data directory, at the same URL or another.\n"},
		{name: "transferLeader", usage: "transferLeader [URL|ID]", check: wantArgs(0, 1), run: (*session).transferLeader,
			help: "Make another member the leader; without URL or ID, the best suited one.\n"},
		{name: "snapshot", usage: "snapshot", check: wantArgs(0, 0), run: (*session).snapshot, slow: true,
			help: "Make the asked node take a snapshot now, and shorten its log.\n"},
		{name: "backup", usage: "backup FILE", check: wantArgs(1, 1), run: (*session).backup, slow: true,
			help:     "Write all data to FILE, as of one moment, while the node goes on.\n\nA FILE that is there is left as it is, which is an error; with -force it is replaced when the new one is whole. redis_repl or mysql_repl with -restore FILE begins a new cluster with it.\n",
			examples: []string{"127.0.0.1:9121 backup nexus.backup"}},
		{name: "verify", usage: "verify", check: wantArgs(0, 0), run: (*session).verify, slow: true,
			help: "Compare the data of all nodes at one position of the log, while they go on.\n\nA node that differs from the majority stops serving, see repair. The exit status is 1 if one does, or could not be compared.\n"},
		{name: "repair", usage: "repair", check: wantArgs(0, 0), run: (*session).repair, slow: true,
			help: "Fill the asked node, which verify has found to differ, from one that holds what the majority holds.\n"},
		{name: "status", usage: "status", check: wantArgs(0, 0), run: (*session).status,
			help: "Show all members with role, lag and the state of their backends, as each describes itself.\n\n" +
				"BEHIND counts the entries of the log that are committed and that the backend of the node does not hold yet.\n",
			examples: []string{"127.0.0.1:9121 status", "127.0.0.1:9121 status -json"}},
		{name: "watch", usage: "watch", check: wantArgs(0, 0), run: (*session).watch, endless: true,
			help: "Show the status again and again.\n\nIn a pipe, one after the other; with -json, one JSON value each.\n"},
		{name: "top", usage: "top", check: wantArgs(0, 0), run: (*session).top, endless: true,
			help: "Show live how many reads and writes a second each node answers, how long they take, and how far it is behind.\n\n" +
				"Latencies are means, from the moment a node has a command to that of the answer; a pipeline counts once.\n"},
		{name: "completion", usage: "completion bash|zsh", check: wantShell, offline: true,
			help: "Write what completes command lines of repl in a shell.\n", examples: []string{"completion bash > /etc/bash_completion.d/repl"}},
	}
}

func findVerb(words []string) (*verb, []string) {
	for _, v := range verbs() {
		name := strings.Fields(v.name)
		if len(words) >= len(name) && slices.Equal(words[:len(name)], name) {
			return &v, words[len(name):]
		}
	}
	return nil, words
}

func wantArgs(least, most int) func([]string) error {
	return func(args []string) error {
		if len(args) < least {
			return errors.New("an argument is missing")
		}
		if len(args) > most {
			return fmt.Errorf("%q is too much", args[most])
		}
		return nil
	}
}

func checkURLs(least, most int) func([]string) error {
	return func(args []string) error {
		if err := wantArgs(least, most)(args); err != nil {
			return err
		}
		for _, arg := range args {
			if _, err := raft.ParseNodeURL(arg); err != nil {
				return err
			}
		}
		return nil
	}
}

func checkStatement(args []string) error {
	if len(args) == 0 {
		return errors.New("the statement is missing")
	}
	for _, arg := range args[:len(args)-1] {
		if name, _, ok := strings.Cut(arg, "="); !ok || name == "" {
			return fmt.Errorf("%q is not of the form ARG=VALUE, want the statement as one argument in quotes", arg)
		}
	}
	return nil
}
