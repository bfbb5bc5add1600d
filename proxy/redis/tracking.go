package redis

const errTextTracking = "ERR command 'client|tracking' is refused by Nexus: a node reads for all its clients over the same connections to " +
	"its backend, which therefore cannot tell who has read a key; use a short expiry of the local cache, or keyspace notifications"

// cmdClientTracking refuses to begin what would never invalidate anything.
func (s *session) cmdClientTracking(dst []byte, args [][]byte) []byte {
	switch {
	case len(args) == 3 && isWord(args[2], "off"):
		return append(dst, replyOK...)
	case isWord(args[2], "on"):
		return appendError(dst, errTextTracking)
	}
	return appendError(dst, errTextSyntax)
}

func (s *session) cmdClientTrackingInfo(dst []byte, _ [][]byte) []byte {
	dst = appendArray(dst, 6)
	dst = appendBulk(appendArray(appendBulk(dst, "flags"), 1), "off")
	dst = appendInt(appendBulk(dst, "redirect"), -1)
	return appendArray(appendBulk(dst, "prefixes"), 0)
}

func (s *session) cmdClientGetRedir(dst []byte, _ [][]byte) []byte { return appendInt(dst, -1) }

func (s *session) cmdClientCaching(dst []byte, _ [][]byte) []byte {
	return appendError(dst, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
}
