package policy

import (
	"bytes"
	"strings"
)

// notifyKeyspaceEvents is the setting that is an entry of the log, so that all
// backends have the same.
const notifyKeyspaceEvents = "notify-keyspace-events"

// eventClasses are the letters that Redis 7.0 knows.
const eventClasses = "Ag$lshzxeKEtmdn"

var (
	errConfigSet = refusal("config|set", "it would change a single backend; what can be set for the cluster is "+
		notifyKeyspaceEvents+", by itself")
	errEventClass = "ERR CONFIG SET failed (possibly related to argument '" + notifyKeyspaceEvents +
		"') - Invalid event class character. Use '" + eventClasses + "'."
)

// resolveConfigSet lets through what every backend takes alike. A value that
// Redis refuses must not reach the log: it is kept there for later starts.
func resolveConfigSet(args [][]byte, _ Context) (Policy, string) {
	if len(args) != 4 || !strings.EqualFold(string(args[2]), notifyKeyspaceEvents) {
		return Refused, errConfigSet
	}
	for _, c := range args[3] {
		if bytes.IndexByte([]byte(eventClasses), c) < 0 {
			return Refused, errEventClass
		}
	}
	return Write, ""
}
