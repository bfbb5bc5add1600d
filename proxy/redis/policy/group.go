package policy

import (
	"bytes"
	"strconv"
)

const (
	errMinIdleClaim     = "ERR Invalid min-idle-time argument for XCLAIM"
	errMinIdleAutoClaim = "ERR Invalid min-idle-time argument for XAUTOCLAIM"
	errCountPositive    = "ERR COUNT must be > 0"
)

var (
	wordXClaim = []byte("XCLAIM")
	wordTime   = []byte("TIME")
	wordOne    = []byte("1")
)

// stored is a time of delivery as backends keep it: Shift too early, because
// Redis replaces one that its own clock has not reached by the time of that
// clock, which may be behind the leader's.
func stored(delivered int64) []byte {
	return strconv.AppendInt(nil, max(delivered-Shift, 0), 10)
}

// rewriteXReadGroup has the backend put the leader's time on what it delivers.
// Arguments that Redis will not take are left as they are: no form of them
// delivers anything.
func rewriteXReadGroup(args [][]byte, now int64) (out [][]byte, errText string) {
	if len(args) > maxScriptArgs {
		return nil, tooManyArgs("xreadgroup")
	}
	var group, consumer []byte
	ack := wordZero
	for i := 1; i < len(args); i++ {
		switch opt := args[i]; {
		case isOption(opt, "count"):
			i++
		case isOption(opt, "noack"):
			ack = wordOne
		case isOption(opt, "group") && i+2 < len(args):
			group, consumer = args[i+1], args[i+2]
			i += 2
		case isOption(opt, "streams"):
			n := (len(args) - i - 1) / 2
			out = appendScript(make([][]byte, 0, 2*len(args)), scriptXReadGroup, args[i+1:i+1+n]...)
			out = append(out, stored(now), group, consumer, ack)
			return append(out, args[1:]...), ""
		default:
			return args, ""
		}
	}
	return args, ""
}

// claim is what the arguments of XCLAIM ask for.
type claim struct {
	minIdle  int64
	ids      [][]byte
	options  [][]byte // without IDLE and TIME
	absolute bool     // at is a point in time, not an idle time
	timed    bool
	at       int64
}

func resolveXClaim(args [][]byte, _ Context) (Policy, string) {
	_, errText := parseXClaim(args)
	return WriteTime, errText
}

// parseXClaim finds the errors that Redis finds before it claims anything. It
// reports them for a group that does not exist, too.
func parseXClaim(args [][]byte) (c claim, errText string) {
	var ok bool
	if c.minIdle, ok = parseInt(args[4]); !ok {
		return c, errMinIdleClaim
	}
	i := 5
	for i < len(args) && isStreamID(args[i], false) {
		i++
	}
	c.ids = args[5:i]
	for ; i < len(args); i++ {
		opt, more := args[i], i+1 < len(args)
		switch {
		case isOption(opt, "force"), isOption(opt, "justid"):
			c.options = append(c.options, opt)
			continue
		case isOption(opt, "idle") && more, isOption(opt, "time") && more:
			i++
			name := "IDLE"
			if c.absolute = isOption(opt, "time"); c.absolute {
				name = "TIME"
			}
			if c.at, ok = parseInt(args[i]); !ok {
				return c, "ERR Invalid " + name + " option argument for XCLAIM"
			}
			c.timed = true
		case isOption(opt, "retrycount") && more:
			i++
			if _, ok := parseInt(args[i]); !ok {
				return c, "ERR Invalid RETRYCOUNT option argument for XCLAIM"
			}
			c.options = append(c.options, opt, args[i])
		case isOption(opt, "lastid") && more:
			i++
			if !isStreamID(args[i], false) {
				return c, errStreamID
			}
			c.options = append(c.options, opt, args[i])
		default:
			return c, oneLine("ERR Unrecognized XCLAIM option '" + string(cString(opt)) + "'")
		}
	}
	return c, ""
}

// delivered is the time of delivery that the claim sets.
func (c *claim) delivered(now int64) int64 {
	at := now
	switch {
	case c.timed && c.absolute:
		at = c.at
	case c.timed && c.at > 0:
		at = now - min(c.at, now+1)
	}
	if at < 0 || at > now {
		return now
	}
	return at
}

// rewriteXClaim makes the times of XCLAIM those of the leader. Only a minimum
// idle time needs a script.
func rewriteXClaim(args [][]byte, now int64) (out [][]byte, errText string) {
	c, errText := parseXClaim(args)
	if errText != "" {
		return nil, errText
	}
	options := append(c.options[:len(c.options):len(c.options)], wordTime, stored(c.delivered(now)))
	if c.minIdle <= 0 || len(c.ids) == 0 {
		out = append(make([][]byte, 0, len(args)+2), wordXClaim, args[1], args[2], args[3], wordZero)
		return append(append(out, c.ids...), options...), ""
	}
	if len(args) > maxScriptArgs {
		return nil, tooManyArgs("xclaim")
	}
	out = appendPending(scriptXClaim, args, now, c.minIdle)
	out = append(out, strconv.AppendInt(nil, int64(len(c.ids)), 10))
	return append(append(out, c.ids...), options...), ""
}

// appendPending begins the call of a script with what pending.lua asks for, the
// group and the consumer.
func appendPending(source []byte, args [][]byte, now, minIdle int64) [][]byte {
	out := appendScript(make([][]byte, 0, len(args)+8), source, args[1])
	return append(out, strconv.AppendInt(nil, now, 10), strconv.AppendInt(nil, Shift, 10),
		strconv.AppendInt(nil, minIdle, 10), args[2], args[3])
}

// autoClaim is what the arguments of XAUTOCLAIM ask for.
type autoClaim struct {
	minIdle int64
	count   int64
	justID  bool
}

// maxAutoClaim is the largest COUNT that Redis takes.
const maxAutoClaim = (1<<63 - 1) / 16

func resolveXAutoClaim(args [][]byte, _ Context) (Policy, string) {
	_, errText := parseXAutoClaim(args)
	return WriteTime, errText
}

func parseXAutoClaim(args [][]byte) (a autoClaim, errText string) {
	a.count = 100
	var ok bool
	if a.minIdle, ok = parseInt(args[4]); !ok {
		return a, errMinIdleAutoClaim
	}
	if !isIntervalID(args[5]) {
		return a, errStreamID
	}
	for i := 6; i < len(args); i++ {
		switch {
		case isOption(args[i], "count") && i+1 < len(args):
			i++
			if a.count, ok = parseInt(args[i]); !ok || a.count < 1 || a.count > maxAutoClaim {
				return a, errCountPositive
			}
		case isOption(args[i], "justid"):
			a.justID = true
		default:
			return a, errSyntax
		}
	}
	return a, ""
}

// isIntervalID reports whether Redis takes b for the start of an interval.
func isIntervalID(b []byte) bool {
	if len(b) > 1 && b[0] == '(' {
		return isStreamID(b[1:], false)
	}
	if len(b) == 1 && (b[0] == '-' || b[0] == '+') {
		return true
	}
	return isStreamID(b, false)
}

func rewriteXAutoClaim(args [][]byte, now int64) (out [][]byte, errText string) {
	a, errText := parseXAutoClaim(args)
	if errText != "" {
		return nil, errText
	}
	out = appendPending(scriptXAutoClaim, args, now, a.minIdle)
	// No list of pending entries is as long as the largest COUNT.
	out = append(out, args[5], strconv.AppendInt(nil, min(a.count, 1<<40), 10), stored(now))
	if a.justID {
		out = append(out, []byte("JUSTID"))
	}
	return out, ""
}

// GroupReply turns the reply to a rewritten XREADGROUP into that of Redis: Lua
// knows only one kind of nothing.
func GroupReply(dst, reply []byte) []byte {
	const null, nullArray = "$-1\r\n", "*-1\r\n"
	if string(reply) == null {
		return append(dst, nullArray...)
	}
	if len(reply) == 0 || reply[0] != '*' {
		return append(dst, reply...)
	}
	// A field or a value cannot be null, so every null is a deleted entry's. Bulk strings are skipped by their length.
	for len(reply) > 0 {
		end := bytes.IndexByte(reply, '\n') + 1
		if end == 0 {
			return append(dst, reply...)
		}
		if string(reply[:end]) == null {
			dst = append(dst, nullArray...)
			reply = reply[end:]
			continue
		}
		if reply[0] == '$' {
			if n, ok := parseInt(reply[1 : end-2]); ok && n >= 0 && n <= int64(len(reply)-end-2) {
				end += int(n) + 2
			}
		}
		dst = append(dst, reply[:end]...)
		reply = reply[end:]
	}
	return dst
}
