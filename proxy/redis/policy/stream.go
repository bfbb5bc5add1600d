package policy

import (
	"bytes"
	"slices"
	"strconv"
)

const (
	errTwoTrims   = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
	errMaxLen     = "ERR The MAXLEN argument must be >= 0."
	errLimit      = "ERR The LIMIT argument must be >= 0."
	errLimitAlone = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
	errLimitExact = "ERR syntax error, LIMIT cannot be used without the special ~ option"
	errNoTrim     = "ERR syntax error, XTRIM must be called with a trimming strategy"
	errStreamID   = "ERR Invalid stream ID specified as stream command argument"
)

// trimOptions is what the options of XADD or XTRIM ask for.
type trimOptions struct {
	// approx is set for "~", which trims by the layout of the stream's nodes.
	// It is equal on backends that have got the same entries under the same
	// settings, and an RDB keeps it.
	approx bool
	// clockID is set for "*", an ID made from the server's clock. "<ms>-*" is
	// completed by what the stream holds, which is the same everywhere.
	clockID bool
	// id is the position of the ID in XADD.
	id int
}

// parseTrim reads the options of XADD (up to and with the ID) and XTRIM.
func parseTrim(args [][]byte, add bool) (o trimOptions, errText string) {
	var trims, limited bool
	var limit int64
	i := 2
options:
	for ; i < len(args); i++ {
		more := len(args) - 1 - i
		opt := args[i]
		switch {
		case add && isOption(opt, "*"):
			o.clockID = true
			break options
		case isOption(opt, "maxlen") && more > 0, isOption(opt, "minid") && more > 0:
			if trims {
				return o, errTwoTrims
			}
			o.approx = more >= 2 && isOption(args[i+1], "~")
			if o.approx || (more >= 2 && isOption(args[i+1], "=")) {
				i++
			}
			i++
			trims = true
			if isOption(opt, "minid") {
				if !isStreamID(args[i], false) {
					return o, errStreamID
				}
				break
			}
			v, ok := parseInt(args[i])
			if !ok {
				return o, errNotInt
			}
			if v < 0 {
				return o, errMaxLen
			}
		case isOption(opt, "limit") && more > 0:
			i++
			v, ok := parseInt(args[i])
			if !ok {
				return o, errNotInt
			}
			if v < 0 {
				return o, errLimit
			}
			limited, limit = true, v
		case add && isOption(opt, "nomkstream"):
		case add:
			if !isStreamID(opt, true) {
				return o, errStreamID
			}
			break options
		default:
			return o, errSyntax
		}
	}
	o.id = i
	switch {
	case limit != 0 && !trims:
		return o, errLimitAlone
	case !add && !trims:
		return o, errNoTrim
	case limited && !o.approx:
		return o, errLimitExact
	}
	// Redis counts the fields when it runs XADD. Here it must be done before
	// anything is dropped, or too few words would be left to be queued at all.
	if fields := len(args) - 1 - i; add && (fields < 2 || fields%2 != 0) {
		return o, wrongArity("xadd")
	}
	return o, ""
}

// isStreamID reports whether Redis takes b for an ID where the special IDs "-"
// and "+" are not allowed; auto allows "<ms>-*".
func isStreamID(b []byte, auto bool) bool {
	if len(b) > 127 {
		return false
	}
	ms, seq, dash := bytes.Cut(cString(b), []byte("-"))
	if _, ok := parseUint(ms); !ok {
		return false
	}
	if !dash || (auto && string(seq) == "*") {
		return true
	}
	_, ok := parseUint(seq)
	return ok
}

// rewriteXAdd makes the ID of XADD one of the leader's clock.
func rewriteXAdd(args [][]byte, now int64) (out [][]byte, errText string) {
	o, errText := parseTrim(args, true)
	switch {
	case errText != "":
		return nil, errText
	case !o.clockID:
		return args, ""
	}
	stamp := strconv.AppendInt(nil, now, 10)
	if len(args) > maxScriptArgs {
		// Too many for Lua. This form fails where the stream has an ID from the
		// future already.
		out = slices.Clone(args)
		out[o.id] = append(stamp, "-*"...)
		return out, ""
	}
	out = appendScript(make([][]byte, 0, len(args)+4), scriptXAdd, args[1])
	out = append(out, stamp, strconv.AppendInt(nil, int64(o.id-1), 10))
	return append(out, args[2:]...), ""
}
