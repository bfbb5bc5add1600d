package redis

import (
	"bytes"
	"fmt"
)

// LibraryPrefix is how the names of libraries begin that a proxy keeps on backends to run the scripts of its clients. A
// library is called nexus_<version>, and its functions nexus_<version>_<verb>.
//
// An FCALL of such a function with ItemDeadline is followed by one of nexus_<version>_deadlines in the same transaction,
// which says what became of the deadlines of the keys that it touched, declared or not: database, key and the reply to
// PEXPIRETIME, by turns. It answers with an error if the call before was not executed here as it is elsewhere: refused by
// the server, killed, or in part refused for a reason of the server. The backend is not equal to others any more then.
//
// A version that begins with UnkillableVersion has a deadlines_unkillable to be called instead, which writes, so that the
// server does not end it at a SCRIPT KILL that was meant for a read. Older libraries, whose calls may stand in the log, have
// not.
const LibraryPrefix = "nexus_"

// UnkillableVersion is how the versions of libraries begin that have a deadlines_unkillable.
const UnkillableVersion = "k"

const (
	deadlinesSuffix  = "_deadlines"
	unkillableSuffix = "_deadlines_unkillable"
)

func isUnkillable(library []byte) bool {
	return bytes.HasPrefix(library, []byte(LibraryPrefix+UnkillableVersion))
}

// libraryOf returns the name of the library that a command calls a function of, as a copy.
func libraryOf(args [][]byte) (library []byte, ok bool) {
	if !bytes.EqualFold(args[0], []byte("FCALL")) || !bytes.HasPrefix(args[1], []byte(LibraryPrefix)) {
		return nil, false
	}
	version := bytes.IndexByte(args[1][len(LibraryPrefix):], '_')
	if version < 0 {
		return nil, false
	}
	return bytes.Clone(args[1][:len(LibraryPrefix)+version]), true
}

// reported takes the reply of a library's deadlines function. The caller holds d.mu.
func (d *Deadlines) reported(reply []byte) error {
	n, rest, ok := cutHead(reply, '*')
	if !ok || n%3 != 0 {
		return fmt.Errorf("deadlines of a script: unexpected reply %.80q", reply)
	}
	for ; n > 0; n -= 3 {
		var key []byte
		var db, stored int64
		if db, rest, ok = cutInteger(rest); ok {
			if key, rest, ok = cutBulk(rest); ok {
				stored, rest, ok = cutInteger(rest)
			}
		}
		if !ok || db < 0 {
			return fmt.Errorf("deadlines of a script: unexpected reply %.80q", reply)
		}
		d.stored(int(db), string(key), stored)
	}
	return nil
}
