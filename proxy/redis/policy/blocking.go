package policy

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is what a key has to hold to be of use for a command that waits.
type Kind uint8

const (
	// KindList is for BLPOP and the like.
	KindList Kind = iota
	// KindZSet is for BZPOPMIN and the like.
	KindZSet
	// KindStream is for XREAD, which changes nothing.
	KindStream
	// KindGroup is for XREADGROUP. It is also of use for it that the stream is gone.
	KindGroup
)

// Blocking is what a command waits for.
type Blocking struct {
	Kind Kind
	// Keys share memory with the arguments.
	Keys [][]byte
	// Timeout is 0 for a command that waits for ever.
	Timeout time.Duration
	// Takes is how many elements it takes away at most.
	Takes int
}

// blockers read the arguments of the commands that may wait, by name.
var blockers = map[string]func(args [][]byte) (Blocking, bool){
	"blmove":     firstKeyBlocks,
	"blmpop":     countedKeysBlock(KindList),
	"blpop":      manyKeysBlock(KindList),
	"brpop":      manyKeysBlock(KindList),
	"brpoplpush": firstKeyBlocks,
	"bzmpop":     countedKeysBlock(KindZSet),
	"bzpopmax":   manyKeysBlock(KindZSet),
	"bzpopmin":   manyKeysBlock(KindZSet),
	"xread":      streamsBlock(KindStream),
	"xreadgroup": streamsBlock(KindGroup),
}

// MayBlock reports whether some form of the command waits.
func (s *Spec) MayBlock() bool { return s.block != nil }

// Blocks returns what a command waits for if it finds nothing. Where it reports false the command does not wait: it does
// not ask for it, or it is one that Redis answers with an error.
func (s *Spec) Blocks(args [][]byte) (Blocking, bool) {
	if s.block == nil || len(args) < max(s.Arity, -s.Arity) {
		return Blocking{}, false
	}
	return s.block(args)
}

// WaitsFor is Blocks for a command that is known to wait, also without the option that says so.
func (s *Spec) WaitsFor(args [][]byte) (Blocking, bool) {
	if b, ok := s.Blocks(args); ok || (s.Name != "xread" && s.Name != "xreadgroup") {
		return b, ok
	}
	at, n := streamsAt(args)
	kind := KindStream
	if s.Name == "xreadgroup" {
		kind = KindGroup
	}
	return Blocking{Kind: kind, Keys: args[at : at+n]}, n > 0
}

// BlockingKeys returns a command that Blocks knows with only some of its keys.
func (s *Spec) BlockingKeys(args, keys [][]byte) [][]byte {
	out := make([][]byte, 0, len(args))
	switch s.Name {
	case "blpop", "brpop", "bzpopmin", "bzpopmax":
		out = append(append(out, args[0]), keys...)
		return append(out, args[len(args)-1])
	case "blmpop", "bzmpop":
		n, _ := parseInt(args[2])
		out = append(out, args[0], args[1], strconv.AppendInt(nil, int64(len(keys)), 10))
		return append(append(out, keys...), args[3+n:]...)
	case "xreadgroup":
		at, n := streamsAt(args)
		out = append(append(out, args[:at]...), keys...)
		for _, k := range keys {
			for i := range n {
				if string(args[at+i]) == string(k) {
					out = append(out, args[at+n+i])
					break
				}
			}
		}
		return out
	}
	return args
}

// WithoutBlock returns XREAD or XREADGROUP without the option that makes it wait.
func WithoutBlock(args [][]byte) [][]byte {
	at, _ := streamsAt(args)
	out := make([][]byte, 0, len(args))
	for i := 0; i < len(args); i++ {
		if i > 0 && i < at && isOption(args[i], "block") {
			i++
			continue
		}
		if i > 0 && i < at {
			// The value of an option may be any word.
			for range optionWords(args[i]) {
				out = append(out, args[i])
				i++
			}
		}
		out = append(out, args[i])
	}
	return out
}

// StreamIDs returns the IDs of XREAD and XREADGROUP, one for each key.
func StreamIDs(args [][]byte) [][]byte {
	at, n := streamsAt(args)
	return args[at+n:]
}

func firstKeyBlocks(args [][]byte) (Blocking, bool) {
	t, ok := blockSeconds(args[len(args)-1])
	return Blocking{Kind: KindList, Keys: args[1:2], Timeout: t, Takes: 1}, ok
}

func manyKeysBlock(kind Kind) func([][]byte) (Blocking, bool) {
	return func(args [][]byte) (Blocking, bool) {
		last := len(args) - 1
		t, ok := blockSeconds(args[last])
		return Blocking{Kind: kind, Keys: args[1:last], Timeout: t, Takes: 1}, ok
	}
}

func countedKeysBlock(kind Kind) func([][]byte) (Blocking, bool) {
	return func(args [][]byte) (Blocking, bool) {
		t, ok := blockSeconds(args[1])
		n, isInt := parseInt(args[2])
		if !ok || !isInt || n <= 0 || n > int64(len(args)-4) {
			return Blocking{}, false
		}
		b := Blocking{Kind: kind, Keys: args[3 : 3+n], Timeout: t, Takes: 1}
		options := args[4+n:]
		if len(options) == 0 {
			return b, true
		}
		count, isInt := parseInt(options[len(options)-1])
		if len(options) != 2 || !isOption(options[0], "count") || !isInt || count <= 0 {
			return Blocking{}, false
		}
		b.Takes = int(min(count, math.MaxInt32))
		return b, true
	}
}

func streamsBlock(kind Kind) func([][]byte) (Blocking, bool) {
	return func(args [][]byte) (Blocking, bool) {
		at, n := streamsAt(args)
		if n == 0 {
			return Blocking{}, false
		}
		b := Blocking{Kind: kind, Keys: args[at : at+n]}
		asked := false
		for i := 1; i < at-1; i += 1 + optionWords(args[i]) {
			if !isOption(args[i], "block") {
				continue
			}
			ms, ok := parseInt(args[i+1])
			if !ok || ms < 0 {
				return Blocking{}, false
			}
			b.Timeout, asked = milliseconds(float64(ms)), true
		}
		return b, asked
	}
}

// streamsAt returns the position of the first key behind STREAMS and the number of keys, 0 if there is something wrong
// with them.
func streamsAt(args [][]byte) (at, n int) {
	for i := 1; i < len(args); i += 1 + optionWords(args[i]) {
		switch {
		case isOption(args[i], "streams"):
			if n = len(args) - i - 1; n%2 != 0 {
				n = 0
			}
			return i + 1, n / 2
		case optionWords(args[i]) == 0 && !isOption(args[i], "noack"):
			return i, 0
		}
	}
	return len(args), 0
}

// optionWords is how many words follow an option of XREAD or XREADGROUP.
func optionWords(option []byte) int {
	switch {
	case isOption(option, "block"), isOption(option, "count"):
		return 1
	case isOption(option, "group"):
		return 2
	}
	return 0
}

// blockSeconds reads a timeout in seconds. It knows no form that Redis does not, but not all that Redis does.
func blockSeconds(b []byte) (time.Duration, bool) {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || v < 0 || math.IsNaN(v) || math.IsInf(v, 0) || v*1000 > math.MaxInt64 || strings.ContainsAny(string(b), "_") {
		return 0, false
	}
	return milliseconds(math.Ceil(v * 1000)), true
}

// milliseconds is ms as a duration, and 0, which is for ever, where that is too long to matter.
func milliseconds(ms float64) time.Duration {
	if ms > float64(math.MaxInt64/time.Millisecond)/2 {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
