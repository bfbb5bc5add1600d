package cluster

import (
	"strconv"
	"strings"
)

// replySlack is by how many seconds replies may differ that count them: that of a server to a command that came later.
const replySlack = 60

// SameReply reports whether two servers that were sent the same commands have answered one alike, byte for byte. Where a reply
// counts the seconds that are left, or have passed, one of them may have taken longer to get there.
func SameReply(command []string, a, b string) bool {
	if a == b {
		return true
	}
	counts := len(command) > 0 && strings.EqualFold(command[0], "TTL") ||
		len(command) > 1 && strings.EqualFold(command[0], "OBJECT") && strings.EqualFold(command[1], "IDLETIME")
	if !counts {
		return false
	}
	x, okX := seconds(a)
	y, okY := seconds(b)
	return okX && okY && max(x, y)-min(x, y) <= replySlack
}

// seconds is a reply that is an integer, and none of those that stand for no time.
func seconds(reply string) (n int64, ok bool) {
	digits, ok := strings.CutPrefix(reply, ":")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(digits, "\r\n"), 10, 64)
	return n, err == nil && n >= 0
}
