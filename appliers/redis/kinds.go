package redis

// commandKind is what Apply must know about a command by its name.
type commandKind uint8

const (
	kindPlain commandKind = iota
	// kindScript may answer with any text, also with one that looks like an error of the machine.
	kindScript
	// kindWipe would delete the marker, and what else the reserved database holds: see run.flushAll.
	kindWipe
	// kindConfig changes a setting of the backend, which is kept for the time after a restart.
	kindConfig
	// kindForbidden would end the transaction, change the connection or stop the server. The proxy refuses these; here
	// they would cost the atomicity of the position, so the node stops instead.
	kindForbidden
)

func kindOf(name []byte) commandKind {
	var upper [16]byte
	if len(name) > len(upper) {
		return kindPlain
	}
	for i, c := range name {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	switch string(upper[:len(name)]) {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
		return kindScript
	case "FLUSHALL":
		return kindWipe
	case "CONFIG":
		return kindConfig
	case "MULTI", "EXEC", "DISCARD", "RESET", "QUIT", "WATCH", "UNWATCH", "SELECT", "HELLO", "AUTH", "CLIENT", "MONITOR",
		"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "SYNC", "PSYNC", "REPLICAOF", "SLAVEOF", "REPLCONF",
		"SHUTDOWN", "FAILOVER", "DEBUG", "SAVE", "BGSAVE", "BGREWRITEAOF", "MIGRATE", "MODULE", "CLUSTER",
		// These put an unshifted or relative deadline on keys, which the backend would expire by its own clock.
		"SETEX", "PSETEX", "EXPIRE", "PEXPIRE", "EXPIREAT":
		return kindForbidden
	default:
		return kindPlain
	}
}

// isMachineError tells whether a raw error reply is of a class that depends on the state of the machine, not of the data.
func isMachineError(raw []byte) bool {
	switch errorClass(raw) {
	case "OOM", "MISCONF", "NOREPLICAS", "READONLY", "NOPERM", "NOAUTH", "BUSY", "LOADING", "MASTERDOWN":
		return true
	default:
		return false
	}
}
