package script

import "bytes"

// A call may be tried as a read ("eval_try" and the like of Build): it runs on one backend, up to the first command that
// would write, and Wanted tells then that it has to run from the log instead.

// wanted is what a try answers that came to a write.
const wanted = "+NEXUSWRITES\r\n"

// Wanted reports whether the reply to a try says that the call writes.
func Wanted(raw []byte) bool { return string(raw) == wanted }

// NamesWrite reports whether a script has the name of a command in quotes for which writes is true. It only saves a try
// that would come to a write.
func NamesWrite(body []byte, writes func(name string) bool) bool {
	for len(body) > 0 {
		i := bytes.IndexAny(body, `'"`)
		if i < 0 {
			return false
		}
		quote := body[i]
		body = body[i+1:]
		n := 0
		for n < len(body) && n < longestName && isLetter(body[n]) {
			n++
		}
		if n == 0 || n == len(body) || body[n] != quote {
			continue
		}
		var name [longestName]byte
		for j := range n {
			name[j] = body[j] | 0x20
		}
		if writes(string(name[:n])) {
			return true
		}
	}
	return false
}

// longestName is the length of the longest name of a command that writes, at least.
const longestName = 24

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
