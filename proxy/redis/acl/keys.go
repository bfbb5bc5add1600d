package acl

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// keyRef is a key of a command, by its place among the arguments.
type keyRef struct {
	at     int
	access access
}

// keysOf finds the keys of a command. known is false if there may be others. Like Redis, it finds none where their number
// is no number: the command is an error then.
func keysOf(c *command, spec *policy.Spec, args [][]byte) (refs []keyRef, known bool) {
	switch c.name {
	case "sort", "sort_ro":
		return sortKeys(c.name, args), true
	case "set":
		how := writes
		if hasWord(args[3:], "get") {
			how |= reads
		}
		return []keyRef{{1, how}}, true
	case "bitfield":
		return []keyRef{{1, bitfieldAccess(args)}}, true
	case "georadius", "georadiusbymember":
		return geoKeys(args), true
	case "xread", "xreadgroup":
		return streamKeys(spec, args)
	}
	for i := range c.keys {
		refs = c.keys[i].append(refs, args)
	}
	return refs, true
}

func (k *keySpec) append(refs []keyRef, args [][]byte) []keyRef {
	first := k.first
	if k.keyword != "" {
		from := k.first
		if from < 0 {
			from = max(from+len(args), 0)
		}
		i := indexWord(args, from, k.keyword)
		if i < 0 {
			return refs
		}
		first = i + 1
	}
	if first >= len(args) {
		return refs
	}
	if k.counted {
		n, err := strconv.Atoi(string(args[first]))
		if err != nil || n < 1 || n > len(args)-first-k.skip {
			return refs
		}
		for i := range n {
			refs = append(refs, keyRef{first + k.skip + i, k.access})
		}
		return refs
	}
	last := first + k.last
	if k.last < 0 {
		last = len(args) + k.last
	}
	for i := first; i <= min(last, len(args)-1); i += k.step {
		refs = append(refs, keyRef{i, k.access})
	}
	return refs
}

func sortKeys(name string, args [][]byte) []keyRef {
	refs := []keyRef{{1, reads}}
	if name == "sort_ro" {
		return refs
	}
	return append(refs, stores(args, 2)...)
}

func geoKeys(args [][]byte) []keyRef { return append([]keyRef{{1, reads}}, stores(args, 2)...) }

// stores finds what may be the destination of a command: behind every STORE and STOREDIST, whichever of them counts.
func stores(args [][]byte, from int) (refs []keyRef) {
	for i := from; i+1 < len(args); i++ {
		if isWord(args[i], "store") || isWord(args[i], "storedist") {
			refs = append(refs, keyRef{i + 1, writes})
		}
	}
	return refs
}

func bitfieldAccess(args [][]byte) access {
	for i := 2; i < len(args); i++ {
		if !isWord(args[i], "get") {
			return reads | writes
		}
		i += 2
	}
	return reads
}

// streamKeys takes the first half of what follows STREAMS, which may be the name of a group or a consumer, too.
func streamKeys(spec *policy.Spec, args [][]byte) (refs []keyRef, known bool) {
	keys, exact := spec.AppendKeys(nil, args)
	if !exact {
		return nil, false
	}
	for i := range keys {
		refs = append(refs, keyRef{len(args) - 2*len(keys) + i, reads})
	}
	return refs, true
}

// followsPattern tells the option of SORT that makes it read keys which it does not name, or "".
func followsPattern(name string, args [][]byte) string {
	if name != "sort" && name != "sort_ro" {
		return ""
	}
	for i := 2; i+1 < len(args); i++ {
		switch {
		case isWord(args[i], "by"):
			if i++; bytes.IndexByte(args[i], '*') >= 0 {
				return "BY"
			}
		case isWord(args[i], "get"):
			return "GET"
		case isWord(args[i], "store"):
			i++
		case isWord(args[i], "limit"):
			i += 2
		}
	}
	return ""
}

// channelsOf finds the channels of a command; patterns is set if they are patterns.
func channelsOf(name string, args [][]byte) (at []int, patterns bool) {
	switch name {
	case "publish", "spublish":
		return []int{1}, false
	case "subscribe", "ssubscribe", "psubscribe":
		for i := 1; i < len(args); i++ {
			at = append(at, i)
		}
		return at, name == "psubscribe"
	}
	return nil, false
}

func hasWord(args [][]byte, word string) bool { return indexWord(args, 0, word) >= 0 }

func indexWord(args [][]byte, from int, word string) int {
	for i := from; i < len(args); i++ {
		if isWord(args[i], word) {
			return i
		}
	}
	return -1
}

// isWord compares as Redis does, which takes what follows a NUL byte for nothing.
func isWord(arg []byte, word string) bool {
	arg, _, _ = bytes.Cut(arg, []byte{0})
	return strings.EqualFold(string(arg), word)
}
