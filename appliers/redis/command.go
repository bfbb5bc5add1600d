package redis

import (
	"errors"
	"strconv"
)

var errCommand = errors.New("not one complete RESP2 multibulk command")

// AppendCommand appends args as one RESP2 multibulk command.
func AppendCommand(dst []byte, args ...[]byte) []byte {
	dst = appendHead(dst, '*', len(args))
	for _, a := range args {
		dst = appendHead(dst, '$', len(a))
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// appendStrings is AppendCommand for strings.
func appendStrings(dst []byte, args ...string) []byte {
	dst = appendHead(dst, '*', len(args))
	for _, a := range args {
		dst = appendHead(dst, '$', len(a))
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

func appendHead(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}

// ParseCommand appends the arguments of cmd, which must be exactly one RESP2 multibulk command with at least one
// argument, to args[:0] and returns them. The arguments are parts of cmd, not copies.
func ParseCommand(cmd []byte, args [][]byte) ([][]byte, error) {
	args = args[:0]
	n, rest, ok := cutHead(cmd, '*')
	if !ok || n < 1 {
		return args, errCommand
	}
	for ; n > 0; n-- {
		var arg []byte
		if arg, rest, ok = cutBulk(rest); !ok {
			return args, errCommand
		}
		args = append(args, arg)
	}
	if len(rest) != 0 {
		return args, errCommand
	}
	return args, nil
}

// checkCommand returns the first argument of cmd after checking that it is exactly one command: a frame that is wrong
// by a byte would put every later reply of the connection out of step.
func checkCommand(cmd []byte) (name []byte, err error) {
	n, rest, ok := cutHead(cmd, '*')
	if !ok || n < 1 {
		return nil, errCommand
	}
	if name, rest, ok = cutBulk(rest); !ok {
		return nil, errCommand
	}
	for n--; n > 0; n-- {
		if _, rest, ok = cutBulk(rest); !ok {
			return nil, errCommand
		}
	}
	if len(rest) != 0 {
		return nil, errCommand
	}
	return name, nil
}

// cutBulk takes one "$<len>\r\n<bytes>\r\n" off b.
func cutBulk(b []byte) (arg, rest []byte, ok bool) {
	size, b, ok := cutHead(b, '$')
	if !ok || size > len(b)-2 || b[size] != '\r' || b[size+1] != '\n' {
		return nil, b, false
	}
	return b[:size:size], b[size+2:], true
}

// cutHead takes "<kind><n>\r\n" off b. Only what a well-behaved encoder writes is taken: digits without sign.
func cutHead(b []byte, kind byte) (n int, rest []byte, ok bool) {
	if len(b) < 4 || b[0] != kind {
		return 0, b, false
	}
	for i := 1; i < len(b) && i < 12; i++ {
		c := b[i]
		if c == '\r' {
			return n, b[min(i+2, len(b)):], i > 1 && i+1 < len(b) && b[i+1] == '\n'
		}
		if c < '0' || c > '9' {
			return 0, b, false
		}
		n = n*10 + int(c-'0')
	}
	return 0, b, false
}
