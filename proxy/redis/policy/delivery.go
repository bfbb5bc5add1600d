package policy

import (
	"bytes"
	"math"
	"strconv"
)

// resolveXPending: the form with a range tells idle times.
func resolveXPending(args [][]byte, _ Context) (Policy, string) {
	if len(args) < 6 {
		return Read, ""
	}
	return ReadTime, ""
}

// resolveXInfoStream: FULL tells times of delivery.
func resolveXInfoStream(args [][]byte, _ Context) (Policy, string) {
	if len(args) < 4 {
		return Read, ""
	}
	return ReadTime, ""
}

// xpendingCommand shifts the IDLE of XPENDING, as what it is compared with is.
func xpendingCommand(args [][]byte) [][]byte {
	if !isOption(args[3], "idle") {
		return args
	}
	idle, ok := parseInt(args[4])
	if !ok || idle <= 0 {
		return args
	}
	out := append(make([][]byte, 0, len(args)), args...)
	out[4] = strconv.AppendInt(nil, min(idle, math.MaxInt64-Shift)+Shift, 10)
	return out
}

// ConvertDeliveries appends the reply to XPENDING or XINFO STREAM with the times
// of delivery as the client is to see them. In these replies no array but those
// of pending entries has such a shape: strings, then two numbers.
func ConvertDeliveries(dst, reply []byte, cmd string, now int64) []byte {
	for len(reply) > 0 {
		n, head := pendingItem(reply)
		if head == 0 {
			n = elementLen(reply)
			dst = append(dst, reply[:n]...)
			reply = reply[n:]
			continue
		}
		dst = append(dst, reply[:head]...)
		end := head + bytes.IndexByte(reply[head:], '\n') + 1
		at, _ := parseInt(reply[head+1 : end-2])
		dst = strconv.AppendInt(append(dst, ':'), convertDelivery(at, cmd, now), 10)
		dst = append(append(dst, '\r', '\n'), reply[end:n]...)
		reply = reply[n:]
	}
	return dst
}

// convertDelivery converts an idle time (XPENDING) or a point in time. Those of
// streams that came with RESTORE are not shifted.
func convertDelivery(at int64, cmd string, now int64) int64 {
	if cmd == "xpending" {
		if at > Shift/2 {
			at -= Shift
		}
		return max(at, 0)
	}
	if at < now-Shift/2 {
		at += Shift
	}
	return at
}

// pendingItem looks for an array of one or two strings and two numbers. It
// returns its length, and where the first number begins; 0 if it is another
// thing.
func pendingItem(b []byte) (length, number int) {
	var strings int
	switch {
	case bytes.HasPrefix(b, []byte("*3\r\n")):
		strings = 1
	case bytes.HasPrefix(b, []byte("*4\r\n")):
		strings = 2
	default:
		return 0, 0
	}
	at := 4
	for range strings {
		if at >= len(b) || b[at] != '$' {
			return 0, 0
		}
		at += elementLen(b[at:])
	}
	number = at
	for range 2 {
		if at >= len(b) || b[at] != ':' {
			return 0, 0
		}
		at += elementLen(b[at:])
	}
	return at, number
}

// elementLen is the length of the first line of b, and of the string that
// belongs to it.
func elementLen(b []byte) int {
	end := bytes.IndexByte(b, '\n') + 1
	if end < 3 {
		return len(b)
	}
	if b[0] != '$' {
		return end
	}
	n, ok := parseInt(b[1 : end-2])
	if !ok || n < 0 {
		return end
	}
	return int(min(int64(len(b)), int64(end)+n+2))
}
