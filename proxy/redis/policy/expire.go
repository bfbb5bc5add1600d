package policy

import "math"

// Errors of the EXPIRE family, all of them found before the key is looked up.
const (
	errExpireNX   = "ERR NX and XX, GT or LT options at the same time are not compatible"
	errExpireGTLT = "ERR GT and LT options at the same time are not compatible"
)

// rewriteExpire makes EXPIRE, PEXPIRE and EXPIREAT a PEXPIREAT with a shifted
// deadline. Flags are kept: they compare with deadlines that are shifted too,
// and 1 for the past is less than all of those, as the past itself is less than
// every deadline still to come.
func rewriteExpire(args [][]byte, now int64, command string) (out [][]byte, deadline int64, errText string) {
	if errText = checkExpireFlags(args[3:]); errText != "" {
		return nil, 0, errText
	}
	t, ok := parseInt(args[2])
	if !ok {
		return nil, 0, errNotInt
	}
	if command == "expire" || command == "expireat" {
		if t > math.MaxInt64/1000 || t < math.MinInt64/1000 {
			return nil, 0, invalidExpire(command)
		}
		t *= 1000
	}
	if command == "expire" || command == "pexpire" {
		if t > math.MaxInt64-now {
			return nil, 0, invalidExpire(command)
		}
		t += now
	}
	at, deadline := shifted(t, now)
	out = append(make([][]byte, 0, len(args)), wordPExpireAt, args[1], at)
	return append(out, args[3:]...), deadline, ""
}

func checkExpireFlags(flags [][]byte) (errText string) {
	var nx, xx, gt, lt bool
	for _, f := range flags {
		switch {
		case isOption(f, "nx"):
			nx = true
		case isOption(f, "xx"):
			xx = true
		case isOption(f, "gt"):
			gt = true
		case isOption(f, "lt"):
			lt = true
		default:
			return unsupportedOption(f)
		}
	}
	if nx && (xx || gt || lt) {
		return errExpireNX
	}
	if gt && lt {
		return errExpireGTLT
	}
	return ""
}
