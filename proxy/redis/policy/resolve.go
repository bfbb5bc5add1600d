package policy

import "math"

// resolver decides about one form of a command whose policy depends on its
// arguments. It is called with an arity that is right. An error refuses the
// form; it is Redis' own text where Redis would refuse it as well.
type resolver func(args [][]byte, ctx Context) (p Policy, errText string)

// resolvers of the commands that need one, by name.
var resolvers = map[string]resolver{
	"copy":              resolveCopy,
	"debug":             resolveDebug,
	"georadius":         geoResolver(6),
	"georadiusbymember": geoResolver(5),
	"getex":             resolveGetex,
	"move":              resolveMove,
	"pfcount":           resolvePFCount,
	"pfdebug":           resolvePFDebug,
	"ping":              resolvePing,
	"restore":           resolveRestore,
	"set":               resolveSet,
	"sort":              resolveSort,
	"spop":              resolveSPop,
	"swapdb":            resolveSwapDB,
	"xadd":              resolveXAdd,
	"xautoclaim":        resolveXAutoClaim,
	"xclaim":            resolveXClaim,
	"xinfo|stream":      resolveXInfoStream,
	"xpending":          resolveXPending,
	"xtrim":             resolveXTrim,
}

// Errors of forms that only Nexus refuses.
var (
	errDebug = refusal("debug", "it would change or stop a single backend; only DEBUG SLEEP <seconds> is known")
)

// Errors of Redis about the number of a database.
const (
	errDBRange  = "ERR DB index is out of range"
	errIntRange = "ERR value is out of range, value must between -2147483648 and 2147483647"
	errFirstDB  = "ERR invalid first DB index"
	errSecondDB = "ERR invalid second DB index"
)

func resolveSet(args [][]byte, _ Context) (Policy, string) {
	if len(args) == 3 {
		return Write, ""
	}
	o, errText := parseStringOptions(args[3:], true)
	if o.expiry == expiryNone {
		return Write, errText
	}
	return WriteTime, errText
}

func resolveGetex(args [][]byte, _ Context) (Policy, string) {
	o, errText := parseStringOptions(args[2:], false)
	switch {
	case o.expiry != expiryNone:
		return WriteTime, errText
	case o.persist:
		return Write, errText
	}
	return Read, errText
}

func resolveRestore(args [][]byte, _ Context) (Policy, string) {
	_, errText := parseRestoreOptions(args[4:])
	if ttl, ok := parseInt(args[2]); ok && ttl == 0 {
		return Write, errText
	}
	return WriteTime, errText
}

func resolveXAdd(args [][]byte, _ Context) (Policy, string) {
	o, errText := parseTrim(args, true)
	if o.clockID {
		return WriteTime, errText
	}
	return Write, errText
}

func resolveXTrim(args [][]byte, _ Context) (Policy, string) {
	_, errText := parseTrim(args, false)
	return Write, errText
}

func resolveSort(args [][]byte, _ Context) (Policy, string) {
	o, errText := parseSort(args, true)
	switch {
	case errText != "":
		return Refused, errText
	case !o.stores:
		return Read, ""
	case o.by && o.alpha:
		return WriteTime, ""
	}
	return Write, ""
}

// geoResolver takes any word that could be STORE or STOREDIST for it: to
// replicate a read costs a little, the contrary would cost the data.
func geoResolver(options int) resolver {
	return func(args [][]byte, _ Context) (Policy, string) {
		if geoStores(args, options) {
			return Write, ""
		}
		return Read, ""
	}
}

func geoStores(args [][]byte, options int) bool {
	for _, a := range args[options:] {
		if isOption(a, "store") || isOption(a, "storedist") {
			return true
		}
	}
	return false
}

// resolvePFCount: counting a single key also writes the count into it, which
// GET or BITOP would then see on this backend alone. Redis replicates it too.
func resolvePFCount(args [][]byte, _ Context) (Policy, string) {
	if len(args) == 2 {
		return Write, ""
	}
	return Read, ""
}

// resolvePFDebug: all forms but one may change how the key is stored.
func resolvePFDebug(args [][]byte, _ Context) (Policy, string) {
	if isOption(args[1], "encoding") {
		return Read, ""
	}
	return Write, ""
}

// resolvePing: Redis checks this arity when it runs PING.
func resolvePing(args [][]byte, _ Context) (Policy, string) {
	if len(args) > 2 {
		return Refused, wrongArity("ping")
	}
	return Local, ""
}

func resolveDebug(args [][]byte, _ Context) (Policy, string) {
	if len(args) == 3 && isOption(args[1], "sleep") {
		return Local, ""
	}
	return Refused, errDebug
}

func resolveCopy(args [][]byte, ctx Context) (Policy, string) {
	_, errText := parseCopyDB(args, ctx)
	return Write, errText
}

// parseCopyDB returns the destination database of COPY, or CurrentDB.
func parseCopyDB(args [][]byte, ctx Context) (db int, errText string) {
	db = CurrentDB
	for j := 3; j < len(args); j++ {
		switch {
		case isOption(args[j], "replace"):
		case isOption(args[j], "db") && j+1 < len(args):
			j++
			if db, errText = parseDB(args[j], ctx); errText != "" {
				return db, errText
			}
		default:
			return db, errSyntax
		}
	}
	return db, ""
}

func resolveMove(args [][]byte, ctx Context) (Policy, string) {
	_, errText := parseDB(args[2], ctx)
	return Write, errText
}

// resolveSwapDB checks both numbers before it checks what they name, in the
// order of Redis.
func resolveSwapDB(args [][]byte, ctx Context) (Policy, string) {
	a, ok := parseInt32(args[1])
	if !ok {
		return Refused, errFirstDB
	}
	b, ok := parseInt32(args[2])
	if !ok {
		return Refused, errSecondDB
	}
	if !ctx.hasDB(a) || !ctx.hasDB(b) {
		return Refused, errDBRange
	}
	return Write, ""
}

// parseDB reads the number of a database that a client may name.
func parseDB(b []byte, ctx Context) (db int, errText string) {
	v, ok := parseInt(b)
	if !ok {
		return 0, errNotInt
	}
	if v < math.MinInt32 || v > math.MaxInt32 {
		return 0, errIntRange
	}
	if !ctx.hasDB(int(v)) {
		return 0, errDBRange
	}
	return int(v), ""
}

func parseInt32(b []byte) (int, bool) {
	v, ok := parseInt(b)
	return int(v), ok && v >= math.MinInt32 && v <= math.MaxInt32
}

// hasDB reports whether clients have a database of this number.
func (ctx Context) hasDB(db int) bool {
	return db >= 0 && db < ctx.Databases && db != ctx.ReservedDB
}
