package policy

import (
	"math"
	"strconv"
)

// Shift is added to every deadline on its way to a backend, about 35 years in
// milliseconds: far enough that no backend's clock ever reaches a deadline, so
// that keys expire only when the log says so.
const Shift = 1 << 40

// maxDeadline is the last deadline that can be shifted. Later ones, 292 million
// years ahead, are kept as this one.
const maxDeadline = math.MaxInt64 - Shift

// Words of rewritten commands. They are shared, so nobody may change them.
var (
	wordSet         = []byte("SET")
	wordPXAT        = []byte("PXAT")
	wordPExpireAt   = []byte("PEXPIREAT")
	wordPExpireTime = []byte("PEXPIRETIME")
	wordAbsTTL      = []byte("ABSTTL")
	wordReplace     = []byte("REPLACE")
	wordZero        = []byte("0")
	wordPast        = []byte("1")
)

// RewriteTime turns a WriteTime command into the one that the log carries: with
// absolute, shifted deadlines by the clock of the leader, nowMillis.
//
// deadline is the logical deadline, in milliseconds and not shifted, that the
// command may set on its key; 0 means that it sets none. A deadline that has
// passed already goes to the backend as 1, not shifted: the backend itself then
// takes the key for expired, on the spot and on every node alike.
//
// errText is the error that Redis would give without looking at the data, in
// the form of Decision.Err; there is nothing to replicate then. Where an error
// depends on the key, out makes the backend find it.
//
// RewriteTime wants commands that Lookup has accepted. It returns a command
// without an expiry as it is, and shares the arguments with args otherwise.
func RewriteTime(args [][]byte, nowMillis int64) (out [][]byte, deadline int64, errText string) {
	if len(args) == 0 {
		return args, 0, ""
	}
	var buf [maxName]byte
	// The conversion makes no copy for a switch on constants.
	switch name := lower(&buf, args[0]); string(name) {
	case "set":
		if len(args) < 3 {
			return nil, 0, wrongArity("set")
		}
		return rewriteSet(args, nowMillis)
	case "setex":
		if len(args) != 4 {
			return nil, 0, wrongArity("setex")
		}
		return rewriteSetex(args, nowMillis, expiryEX, "setex")
	case "psetex":
		if len(args) != 4 {
			return nil, 0, wrongArity("psetex")
		}
		return rewriteSetex(args, nowMillis, expiryPX, "psetex")
	case "getex":
		if len(args) < 2 {
			return nil, 0, wrongArity("getex")
		}
		return rewriteGetex(args, nowMillis)
	case "expire", "pexpire", "expireat", "pexpireat":
		if len(args) < 3 {
			return nil, 0, wrongArity(string(name))
		}
		return rewriteExpire(args, nowMillis, string(name))
	case "restore":
		if len(args) < 4 {
			return nil, 0, wrongArity("restore")
		}
		return rewriteRestore(args, nowMillis)
	}
	out, errText = rewriteClock(args, nowMillis)
	return out, 0, errText
}

// shifted returns the argument that gives a key the deadline on a backend, and
// the deadline that then remains to be kept: none if it has passed.
func shifted(deadline, now int64) (arg []byte, remaining int64) {
	if deadline <= now {
		return wordPast, 0
	}
	deadline = min(deadline, maxDeadline)
	return strconv.AppendInt(nil, deadline+Shift, 10), deadline
}

// ReadTimeCommand returns the command to be sent for a ReadTime command that
// Lookup has accepted: one whose reply TTLReply converts, or ConvertDeliveries.
func ReadTimeCommand(args [][]byte) [][]byte {
	switch {
	case isOption(args[0], "xpending"):
		return xpendingCommand(args)
	case isOption(args[0], "xinfo"):
		return args
	}
	return [][]byte{wordPExpireTime, args[1]}
}

// TTLReply converts a backend's reply to PEXPIRETIME into the reply to TTL,
// PTTL, EXPIRETIME or PEXPIRETIME (cmd, in lower case).
//
// A deadline that has just passed reads as 0 left, as in Redis, and not as a
// missing key: the key is gone when the log has deleted it, and a client that
// was told so earlier could still see it. A deadline that is not shifted was in
// the past when it was set, and the backend itself hides the key.
func TTLReply(cmd string, pexpiretime int64, nowMillis int64) int64 {
	if pexpiretime < 0 {
		return pexpiretime
	}
	if pexpiretime < Shift {
		return -2
	}
	deadline := pexpiretime - Shift
	left := max(deadline-nowMillis, 0)
	switch cmd {
	case "pexpiretime":
		return deadline
	case "expiretime":
		return roundSeconds(deadline)
	case "pttl":
		return left
	default:
		return roundSeconds(left)
	}
}

// roundSeconds rounds as Redis does.
func roundSeconds(ms int64) int64 { return (ms + 500) / 1000 }
