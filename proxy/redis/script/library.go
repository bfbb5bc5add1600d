package script

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

//go:embed lua/*.lua
var sources embed.FS

// Keys of the reserved database.
const (
	bodiesKey    = "nexus.scripts"
	passingKey   = "nexus.scripts.passing"
	librariesKey = "nexus.functions"
)

// IsOwnKey reports whether the library may keep something under a key of that name.
func IsOwnKey(key []byte) bool {
	switch string(key) {
	case bodiesKey, passingKey, librariesKey:
		return true
	}
	return false
}

// Library is the code that runs scripts, for backends with a number of databases of which one is reserved.
type Library struct {
	// Name is made from the text, so that a changed one is another library.
	Name string
	// Code is what FUNCTION LOAD takes.
	Code string
}

// Steps is how many steps a script may take: a round of a loop or the call of a function is one, redis.call is ten. At the
// end of them a backend has been busy for about half a second.
const Steps = 20_000_000

// NewLibrary returns the Library for scripts that take no more than steps.
func NewLibrary(databases, reserved, steps int) *Library {
	text := source()
	text = strings.NewReplacer(
		"$databases", strconv.Itoa(databases),
		"$reserved", strconv.Itoa(reserved),
		"$steps", strconv.Itoa(steps),
		"$scripts", bodiesKey,
		"$passing", passingKey,
		"$functions", librariesKey,
	).Replace(text)
	sum := sha256.Sum256([]byte(text))
	name := backend.LibraryPrefix + backend.UnkillableVersion + hex.EncodeToString(sum[:4])
	return &Library{
		Name: name,
		Code: "#!lua name=" + name + "\n" + strings.ReplaceAll(text, "$prefix", name),
	}
}

// source is the text of all files in the order of their names, without comments and indentation.
func source() string {
	entries, err := sources.ReadDir("lua")
	if err != nil {
		panic(err) // it is part of this program
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		text, err := sources.ReadFile("lua/" + name)
		if err != nil {
			panic(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "--") {
				continue
			}
			if code, _, found := strings.Cut(line, " -- "); found {
				line = strings.TrimSpace(code)
			}
			out.WriteString(line)
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// Load is the command that puts the Library on a backend.
func (l *Library) Load() []byte {
	return command("FUNCTION", "LOAD", "REPLACE", l.Code)
}

// Ready is the read command that answers with 1 on a backend that has the Library.
func (l *Library) Ready() []byte {
	return command("FCALL_RO", l.function("ready"), "0")
}

// CountScripts is the read command, of the reserved database, that answers with how many scripts are kept.
func CountScripts() []byte { return command("HLEN", bodiesKey) }

func (l *Library) function(verb string) string { return l.Name + "_" + verb }

func command(args ...string) []byte {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	return backend.AppendCommand(nil, list...)
}
