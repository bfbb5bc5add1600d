package policy

import "bytes"

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
	// approx is set for "~", which trims by the layout of the stream's nodes
	// and so by each backend's configuration.
	approx bool
	// autoID is set for an ID that the server would complete.
	autoID bool
	// end is the position after the options: the ID's in XADD.
	end int
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
			o.autoID = true
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
			o.autoID = hasAutoSeq(opt)
			break options
		default:
			return o, errSyntax
		}
	}
	o.end = i
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

func hasAutoSeq(b []byte) bool {
	_, seq, _ := bytes.Cut(cString(b), []byte("-"))
	return string(seq) == "*"
}

// rewriteTrim drops "~" and LIMIT from XADD and XTRIM. "~" allows the server to
// trim less than it was asked to, so trimming exactly is one of the outcomes
// that the client has agreed to, and the only one that is equal on all nodes.
func rewriteTrim(args [][]byte) (out [][]byte, deadline int64, errText string) {
	add := len(args[0]) == len("xadd")
	o, errText := parseTrim(args, add)
	if errText != "" {
		return nil, 0, errText
	}
	if !o.approx {
		return args, 0, ""
	}
	out = append(make([][]byte, 0, len(args)), args[:2]...)
	for i := 2; i < o.end; i++ {
		switch opt := args[i]; {
		case isOption(opt, "maxlen"), isOption(opt, "minid"):
			out = append(out, opt)
			i++
			if isOption(args[i], "~") {
				i++
			}
			out = append(out, args[i])
		case isOption(opt, "limit"):
			i++
		default:
			out = append(out, opt)
		}
	}
	return append(out, args[o.end:]...), 0, ""
}
