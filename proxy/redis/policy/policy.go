package policy

import "strconv"

// Policy is what the proxy does with a command.
type Policy uint8

const (
	// Refused commands get an error. It is the zero value on purpose: what
	// nobody decided about is not run.
	Refused Policy = iota
	// Local commands are answered by the proxy itself.
	Local
	// Static commands go to the backend at once: their reply depends on the
	// program, not on the data.
	Static
	// Read commands go to the backend after a linearizable read barrier.
	Read
	// ReadTime commands are reads that go out as ReadTimeCommand says and whose
	// reply is converted with TTLReply or ConvertDeliveries.
	ReadTime
	// Write commands are replicated as they are.
	Write
	// WriteTime commands are replicated after RewriteTime.
	WriteTime
	// ReadScript commands are reads of scripts and functions, which go out as
	// package script makes them.
	ReadScript
	// WriteScript commands run or manage scripts and functions, and are
	// replicated as package script makes them.
	WriteScript
	// Choice commands are replicated after their effect was chosen by chance: by
	// the session, or in a transaction by the leader, with RewriteChoice.
	Choice
)

var policyNames = [...]string{
	"refused", "local", "static", "read", "readtime", "write", "writetime", "readscript", "writescript", "choice",
}

// String returns the name of the policy in lower case.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return "policy(" + strconv.Itoa(int(p)) + ")"
}

// Writes reports whether commands of the policy go through the log.
func (p Policy) Writes() bool {
	return p == Write || p == WriteTime || p == WriteScript || p == Choice
}

// Reads reports whether commands of the policy look at the data and do not go
// through the log.
func (p Policy) Reads() bool {
	return p == Read || p == ReadTime || p == ReadScript
}

// Keys says which arguments of a command are keys, counted from the name at
// position 0, as Redis' COMMAND does: Last is counted from the end if it is
// negative.
type Keys struct {
	First, Last, Step int
	// Movable is the server's flag for keys that First, Last and Step do not
	// (all) name.
	Movable bool
	// Wide is set for commands that concern a whole database or more.
	Wide bool
}

// Spec is a row of the table. Specs are shared and must not be changed.
type Spec struct {
	// Name is the full name in lower case, subcommands as "config|get".
	Name string
	// Arity counts the arguments including the name (of a subcommand: both
	// names); a negative arity is a minimum.
	Arity int
	// Policy is the strongest policy that any form of the command needs.
	Policy Policy
	Keys   Keys
	// Note says why the command is refused, in words for the client.
	Note string
	// Grows is set for commands that may need more memory than before.
	Grows bool
	// Index is the place in Table.Names.
	Index int

	// reply is the error text for a refusal; the table fills it in from Note
	// where Redis itself has no text for the case.
	reply   string
	resolve resolver
	find    keyFinder
	block   func(args [][]byte) (Blocking, bool)
}

// Context is what Lookup needs to know about the deployment.
type Context struct {
	// Databases is the number of databases of the backends.
	Databases int
	// ReservedDB is the database that holds the marker of the applied position.
	// To clients it does not exist.
	ReservedDB int
}

// Decision is what Lookup found out about a command.
type Decision struct {
	// Spec is nil if there is no such command.
	Spec *Spec
	// Policy is the policy of this form of the command, and Refused whenever
	// Err is set.
	Policy Policy
	// Err is the error for the client without the leading '-' and the trailing
	// CRLF; it is empty if the command may be run.
	Err string
}
