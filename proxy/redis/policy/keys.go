package policy

// keyFinder names the keys of a command that First, Last and Step cannot.
// It must not claim to be exact where a mistake is possible.
type keyFinder func(dst, args [][]byte) (keys [][]byte, exact bool)

// keyFinders of the commands that need one, by name.
var keyFinders = map[string]keyFinder{
	"blmpop":            timedKeys,
	"bzmpop":            timedKeys,
	"copy":              copyKeys,
	"georadius":         geoKeys(6),
	"georadiusbymember": geoKeys(5),
	"lmpop":             countedKeys(1),
	"move":              moveKeys,
	"sintercard":        countedKeys(1),
	"spublish":          noKeys,
	"sort":              sortKeys,
	"sort_ro":           sortKeys,
	"zdiff":             countedKeys(1),
	"zdiffstore":        countedKeys(2),
	"zinter":            countedKeys(1),
	"zintercard":        countedKeys(1),
	"zinterstore":       countedKeys(2),
	"zmpop":             countedKeys(1),
	"zunion":            countedKeys(1),
	"zunionstore":       countedKeys(2),
	"xread":             streamKeys,
	"xreadgroup":        streamKeys,
}

// AppendKeys appends the keys of a command, all of them in the database of the
// session, to dst. The keys share memory with args.
//
// If exact is false, the command may touch keys that are not among them, in
// any database: what holds for a key must then be assumed of all.
func (s *Spec) AppendKeys(dst, args [][]byte) (keys [][]byte, exact bool) {
	if s.find != nil {
		return s.find(dst, args)
	}
	return appendRange(dst, args, s.Keys), !s.Keys.Movable && !s.Keys.Wide
}

func appendRange(dst, args [][]byte, k Keys) [][]byte {
	if k.Step <= 0 {
		return dst
	}
	last := k.Last
	if last < 0 {
		last += len(args)
	}
	last = min(last, len(args)-1)
	for i := k.First; i <= last; i += k.Step {
		dst = append(dst, args[i])
	}
	return dst
}

// countedKeys finds keys after their number at position n, and a destination
// at position 1 if the number is not there.
func countedKeys(n int) keyFinder {
	return func(dst, args [][]byte) ([][]byte, bool) {
		if len(args) <= n {
			return dst, false
		}
		dst = append(dst, args[1:n]...)
		count, ok := parseInt(args[n])
		if !ok || count <= 0 || count > int64(len(args)-n-1) {
			return dst, false
		}
		return append(dst, args[n+1:n+1+int(count)]...), true
	}
}

// timedKeys finds keys after a timeout and their number.
func timedKeys(dst, args [][]byte) ([][]byte, bool) {
	if len(args) < 3 {
		return dst, false
	}
	return countedKeys(1)(dst, args[1:])
}

func sortKeys(dst, args [][]byte) ([][]byte, bool) {
	if len(args) < 2 {
		return dst, false
	}
	o, errText := parseSort(args, true)
	dst = append(dst, args[1])
	if o.stores {
		dst = append(dst, o.store)
	}
	return dst, errText == "" && !o.by && !o.get
}

func geoKeys(options int) keyFinder {
	return func(dst, args [][]byte) ([][]byte, bool) {
		if len(args) < options {
			return dst, false
		}
		return append(dst, args[1]), !geoStores(args, options)
	}
}

// copyKeys is exact only within a database.
func copyKeys(dst, args [][]byte) ([][]byte, bool) {
	for i := 3; i < len(args); i++ {
		if !isOption(args[i], "replace") {
			return append(dst, args[1]), false
		}
	}
	return appendRange(dst, args, twoKeys), true
}

// noKeys: a channel is no key.
func noKeys(dst, _ [][]byte) ([][]byte, bool) { return dst, true }

// moveKeys: the other key has the same name in another database.
func moveKeys(dst, args [][]byte) ([][]byte, bool) {
	return appendRange(dst, args, oneKey), false
}

// streamKeys: the first half of what follows STREAMS.
func streamKeys(dst, args [][]byte) ([][]byte, bool) {
	for i := 1; i < len(args); i++ {
		switch {
		case isOption(args[i], "block"), isOption(args[i], "count"):
			i++
		case isOption(args[i], "group"):
			i += 2
		case isOption(args[i], "noack"):
		case isOption(args[i], "streams"):
			n := len(args) - i - 1
			return append(dst, args[i+1:i+1+n/2]...), n > 0 && n%2 == 0
		default:
			return dst, false
		}
	}
	return dst, false
}
