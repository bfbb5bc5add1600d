package policy

// sortOptions is what the options of SORT and SORT_RO ask for.
type sortOptions struct {
	stores  bool
	store   []byte // destination of STORE
	by, get bool   // patterns that name other keys
	alpha   bool
}

// parseSort reads the options of SORT, or of SORT_RO which has no STORE.
func parseSort(args [][]byte, store bool) (o sortOptions, errText string) {
	for j := 2; j < len(args); j++ {
		left := len(args) - j - 1
		switch opt := args[j]; {
		case isOption(opt, "asc"), isOption(opt, "desc"):
		case isOption(opt, "alpha"):
			o.alpha = true
		case isOption(opt, "limit") && left >= 2:
			for _, n := range args[j+1 : j+3] {
				if _, ok := parseInt(n); !ok {
					return o, errNotInt
				}
			}
			j += 2
		case store && isOption(opt, "store") && left >= 1:
			j++
			o.stores, o.store = true, args[j]
		case isOption(opt, "by") && left >= 1:
			j++
			o.by = true
		case isOption(opt, "get") && left >= 1:
			j++
			o.get = true
		default:
			return o, errSyntax
		}
	}
	return o, ""
}

// rewriteSort gives SORT BY ... ALPHA ... STORE an order of its own where it
// has none: Redis stores members of a set that compare equal as they come.
func rewriteSort(args [][]byte) (out [][]byte, errText string) {
	o, errText := parseSort(args, true)
	switch {
	case errText != "":
		return nil, errText
	case !o.stores || !o.by || !o.alpha:
		return args, ""
	case len(args) > maxScriptArgs:
		return nil, tooManyArgs("sort")
	}
	out = appendScript(make([][]byte, 0, len(args)+4), scriptSort, args[1], o.store)
	return append(out, args[2:]...), ""
}
