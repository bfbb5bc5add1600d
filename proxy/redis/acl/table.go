package acl

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
)

// commandsText has a line for each command: its name, marks, categories and where its keys are.
//
//go:embed commands.txt
var commandsText string

// Categories are those of Redis, in its order.
var categories = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
	"pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// access is how a command uses a key, and how a pattern lets it be used.
type access uint8

const (
	reads access = 1 << iota
	writes
	// touches neither tells nor changes what is in the key: any pattern will do.
	touches access = 0
)

// keySpec says where some of the keys of a command are, as Redis' key specifications do.
type keySpec struct {
	access access
	// The keys begin at argument first, or behind keyword, which is looked for from first on (from the end, if it is
	// negative).
	first   int
	keyword string
	// counted: the number of keys is at this place, and they begin after skip more arguments. Otherwise they go on to
	// last, counted from the first one, or from the end of the arguments; to 1/limit of these.
	counted           bool
	skip              int
	last, step, limit int
}

// command is what Redis knows of a command.
type command struct {
	name       string
	index      int
	categories map[string]bool
	// anybody may run it (AUTH and its kind); scripts may not.
	anybody, noScript bool
	keys              []keySpec
	subs              []*command // of a container
	parent            *command
}

// Table knows all commands. It is immutable.
type Table struct {
	commands []*command
	byName   map[string]*command
}

// NewTable returns the commands of Redis 7.0 and those of Nexus.
func NewTable() *Table {
	t := &Table{byName: make(map[string]*command)}
	for line := range strings.Lines(commandsText) {
		c := parseCommand(strings.TrimSuffix(line, "\n"))
		c.index = len(t.commands)
		t.commands = append(t.commands, c)
		t.byName[c.name] = c
		if parent, _, nested := strings.Cut(c.name, "|"); nested {
			c.parent = t.byName[parent]
			c.parent.subs = append(c.parent.subs, c)
		}
	}
	return t
}

// parseCommand reads a line: name, tab, marks, tab, categories, tab, key specifications.
func parseCommand(line string) *command {
	fields := strings.Split(line, "\t")
	c := &command{name: fields[0], categories: make(map[string]bool)}
	c.anybody, c.noScript = strings.Contains(fields[1], "a"), strings.Contains(fields[1], "n")
	for _, name := range strings.Fields(fields[2]) {
		c.categories[name] = true
	}
	for _, text := range strings.Fields(fields[3]) {
		c.keys = append(c.keys, parseKeySpec(text))
	}
	return c
}

// parseKeySpec reads "rw@1:range(0,1,0)" or "r@STREAMS,1:count(0,1)".
func parseKeySpec(text string) keySpec {
	how, rest, _ := strings.Cut(text, "@")
	begin, find, _ := strings.Cut(rest, ":")
	var k keySpec
	if strings.Contains(how, "r") {
		k.access |= reads
	}
	if strings.Contains(how, "w") {
		k.access |= writes
	}
	if word, from, ok := strings.Cut(begin, ","); ok {
		k.keyword, begin = strings.ToLower(word), from
	}
	k.first = number(begin)
	kind, list, _ := strings.Cut(strings.TrimSuffix(find, ")"), "(")
	args := strings.Split(list, ",")
	if kind == "count" {
		k.counted, k.skip, k.step = true, number(args[0]), 1
		return k
	}
	k.last, k.step, k.limit = number(args[0]), number(args[1]), number(args[2])
	return k
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("acl: commands.txt: " + err.Error()) // it is part of this program
	}
	return n
}

// Category reports whether there is one of this name.
func isCategory(name string) bool { return slices.Contains(categories, name) }
