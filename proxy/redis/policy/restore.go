package policy

import "math"

const (
	errIdleTime = "ERR Invalid IDLETIME value, must be >= 0"
	errFreq     = "ERR Invalid FREQ value, must be >= 0 and <= 255"
)

// restoreOptions is what the options of RESTORE ask for.
type restoreOptions struct {
	replace, absolute bool
	// access is IDLETIME or FREQ with the value. They change what OBJECT tells,
	// by each node's own clock, and no data.
	access [][]byte
}

func parseRestoreOptions(options [][]byte) (o restoreOptions, errText string) {
	var idle, freq bool
	for j := 0; j < len(options); j++ {
		more := j+1 < len(options)
		switch opt := options[j]; {
		case isOption(opt, "replace"):
			o.replace = true
		case isOption(opt, "absttl"):
			o.absolute = true
		case isOption(opt, "idletime") && more && !freq:
			j++
			v, ok := parseInt(options[j])
			if !ok {
				return o, errNotInt
			}
			if v < 0 {
				return o, errIdleTime
			}
			idle, o.access = true, options[j-1:j+1]
		case isOption(opt, "freq") && more && !idle:
			j++
			v, ok := parseInt(options[j])
			if !ok {
				return o, errNotInt
			}
			if v < 0 || v > 255 {
				return o, errFreq
			}
			freq, o.access = true, options[j-1:j+1]
		default:
			return o, errSyntax
		}
	}
	return o, ""
}

// rewriteRestore makes the TTL of RESTORE a shifted ABSTTL.
//
// Redis looks for an existing key before it looks at the TTL, so a TTL that is
// no number or negative goes to the backend, which rejects it in any case. Only
// a TTL that would overflow is an error of ours; Redis lets it.
func rewriteRestore(args [][]byte, now int64) (out [][]byte, deadline int64, errText string) {
	o, errText := parseRestoreOptions(args[4:])
	if errText != "" {
		return nil, 0, errText
	}
	ttl, ok := parseInt(args[2])
	if !ok || ttl < 0 {
		return args, 0, ""
	}
	out = append(make([][]byte, 0, 8), args[0], args[1], wordZero, args[3])
	if ttl > 0 {
		if !o.absolute {
			if ttl > math.MaxInt64-now {
				return nil, 0, invalidExpire("restore")
			}
			ttl += now
		}
		out[2], deadline = shifted(ttl, now)
		out = append(out, wordAbsTTL)
	}
	if o.replace {
		out = append(out, wordReplace)
	}
	return append(out, o.access...), deadline, ""
}
