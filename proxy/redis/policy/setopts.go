package policy

import "math"

// expiry is a unit and base of time in an option of SET and GETEX.
type expiry uint8

const (
	expiryNone expiry = iota
	expiryEX
	expiryPX
	expiryEXAT
	expiryPXAT
)

// inSeconds reports whether the unit is the second.
func (e expiry) inSeconds() bool { return e == expiryEX || e == expiryEXAT }

// relative reports whether the time counts from now.
func (e expiry) relative() bool { return e == expiryEX || e == expiryPX }

func expiryOption(b []byte) expiry {
	switch {
	case isOption(b, "ex"):
		return expiryEX
	case isOption(b, "px"):
		return expiryPX
	case isOption(b, "exat"):
		return expiryEXAT
	case isOption(b, "pxat"):
		return expiryPXAT
	}
	return expiryNone
}

// stringOptions is what the options of SET or GETEX ask for.
type stringOptions struct {
	expiry  expiry
	value   []byte // argument of expiry
	persist bool
}

// parseStringOptions reads the options of SET (from position 3) or GETEX (from
// position 2), which share a parser in Redis too. An expiry may be repeated in
// the same unit, and then the last one counts.
func parseStringOptions(options [][]byte, set bool) (o stringOptions, errText string) {
	var nx, xx, keep bool
	for j := 0; j < len(options); j++ {
		opt := options[j]
		if set {
			known := true
			switch {
			case isOption(opt, "nx") && !xx:
				nx = true
			case isOption(opt, "xx") && !nx:
				xx = true
			case isOption(opt, "get"):
			case isOption(opt, "keepttl") && o.expiry == expiryNone:
				keep = true
			default:
				known = false
			}
			if known {
				continue
			}
		} else if isOption(opt, "persist") && o.expiry == expiryNone {
			o.persist = true
			continue
		}
		e := expiryOption(opt)
		last := j == len(options)-1
		if e == expiryNone || last || keep || o.persist || (o.expiry != expiryNone && o.expiry != e) {
			return stringOptions{}, errSyntax
		}
		j++
		o.expiry, o.value = e, options[j]
	}
	return o, ""
}

// expiryDeadline turns the time of an expiry option into a deadline in
// milliseconds. Times that are zero or negative, or too far in the future to be
// shifted, are invalid as they are in Redis.
func expiryDeadline(e expiry, value []byte, now int64, command string) (deadline int64, errText string) {
	t, ok := parseInt(value)
	if !ok {
		return 0, errNotInt
	}
	if t <= 0 || (e.inSeconds() && t > math.MaxInt64/1000) {
		return 0, invalidExpire(command)
	}
	if e.inSeconds() {
		t *= 1000
	}
	if e.relative() {
		if t > math.MaxInt64-now {
			return 0, invalidExpire(command)
		}
		t += now
	}
	return t, ""
}

// rewriteSet makes SET with an expiry SET with a shifted PXAT. All errors in
// its arguments come before Redis looks at the key.
func rewriteSet(args [][]byte, now int64) (out [][]byte, deadline int64, errText string) {
	o, errText := parseStringOptions(args[3:], true)
	if errText != "" {
		return nil, 0, errText
	}
	if o.expiry == expiryNone {
		return args, 0, ""
	}
	deadline, errText = expiryDeadline(o.expiry, o.value, now, "set")
	if errText != "" {
		return nil, 0, errText
	}
	out = append(make([][]byte, 0, len(args)), args[:3]...)
	return replaceExpiry(out, args[3:], deadline, now)
}

// rewriteSetex makes SETEX and PSETEX a SET, whose reply is the same.
func rewriteSetex(args [][]byte, now int64, e expiry, command string) (out [][]byte, deadline int64, errText string) {
	deadline, errText = expiryDeadline(e, args[2], now, command)
	if errText != "" {
		return nil, 0, errText
	}
	at, deadline := shifted(deadline, now)
	return [][]byte{wordSet, args[1], args[3], wordPXAT, at}, deadline, ""
}

// rewriteGetex makes an expiry of GETEX a shifted PXAT.
//
// Redis looks at the key before it looks at the time, so an invalid time is no
// error on a missing key. The backend has to find that out: it gets a time that
// it rejects for the same reason, whatever its clock says.
func rewriteGetex(args [][]byte, now int64) (out [][]byte, deadline int64, errText string) {
	o, errText := parseStringOptions(args[2:], false)
	if errText != "" {
		return nil, 0, errText
	}
	if o.expiry == expiryNone {
		return args, 0, ""
	}
	deadline, invalid := expiryDeadline(o.expiry, o.value, now, "getex")
	switch invalid {
	case "":
	case errNotInt:
		return [][]byte{args[0], args[1], wordPXAT, o.value}, 0, ""
	default:
		return [][]byte{args[0], args[1], wordPXAT, wordZero}, 0, ""
	}
	out = append(make([][]byte, 0, len(args)), args[:2]...)
	return replaceExpiry(out, args[2:], deadline, now)
}

// replaceExpiry appends options to out with every expiry replaced by the
// deadline. The options have been parsed before.
func replaceExpiry(out, options [][]byte, deadline, now int64) ([][]byte, int64, string) {
	at, deadline := shifted(deadline, now)
	for j := 0; j < len(options); j++ {
		if expiryOption(options[j]) == expiryNone {
			out = append(out, options[j])
			continue
		}
		out = append(out, wordPXAT, at)
		j++
	}
	return out, deadline, ""
}
