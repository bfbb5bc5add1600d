package policy

import (
	"math"
	"strconv"
)

const errPositive = "ERR value is out of range, must be positive"

// resolveSPop reads the count as Redis does, before it looks at the key.
func resolveSPop(args [][]byte, _ Context) (Policy, string) {
	switch {
	case len(args) == 2:
		return Choice, ""
	case len(args) > 3:
		return Refused, errSyntax
	}
	n, ok := parseInt(args[2])
	switch {
	case !ok:
		return Refused, errPositive
	case n < 0:
		return Refused, errPositive
	}
	return Choice, ""
}

// SPopCount returns the count of an SPOP that Lookup has accepted; one is true
// if it has none and asks for a single member.
func SPopCount(args [][]byte) (count int64, one bool) {
	if len(args) < 3 {
		return 1, true
	}
	n, _ := parseInt(args[2])
	return n, false
}

// countArg is the count as the scripts take it. Lua computes with doubles, and
// no set has that many members.
func countArg(args [][]byte) []byte {
	n, one := SPopCount(args)
	if one {
		n = -1
	}
	return strconv.AppendInt(nil, min(n, math.MaxInt32), 10)
}

// TakeCommand returns the command that pops members from the set of an SPOP
// which Lookup has accepted. It answers as SPOP does, or with the status RETRY
// if they are not what SPOP could pop by now; then it has done nothing.
func TakeCommand(args, members [][]byte) [][]byte {
	out := appendScript(make([][]byte, 0, len(members)+5), scriptTake, args[1])
	return append(append(out, countArg(args)), members...)
}

// RewriteChoice turns a Choice command into one whose choice depends on the
// seed and on the data alone. It costs time in proportion to the set.
func RewriteChoice(args [][]byte, seed uint64) [][]byte {
	out := appendScript(make([][]byte, 0, 6), scriptSPop, args[1])
	return append(out, strconv.AppendUint(nil, seed, 16), countArg(args))
}
