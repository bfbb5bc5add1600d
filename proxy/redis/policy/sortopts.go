package policy

// sortOptions is what the options of SORT and SORT_RO ask for.
type sortOptions struct {
	stores  bool
	store   []byte // destination of STORE
	by, get bool   // patterns that name other keys
}

// parseSort reads the options of SORT, or of SORT_RO which has no STORE.
func parseSort(args [][]byte, store bool) (o sortOptions, errText string) {
	for j := 2; j < len(args); j++ {
		left := len(args) - j - 1
		switch opt := args[j]; {
		case isOption(opt, "asc"), isOption(opt, "desc"), isOption(opt, "alpha"):
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
