package policy

import "math"

// CurrentDB stands for the database that the session has selected.
const CurrentDB = -1

// MoveKind is how a command carries deadlines from keys to keys.
type MoveKind uint8

const (
	// MoveNone says that no deadline appears anywhere. The command may well remove one.
	MoveNone MoveKind = iota
	// MoveRename says that Dst gets the deadline of Src, which is gone.
	MoveRename
	// MoveCopy says that Dst gets the deadline of Src, which keeps it.
	MoveCopy
	// MoveKey says that the key, Src and Dst, goes from SrcDB to DstDB.
	MoveKey
	// MoveSwapDB says that SrcDB and DstDB change places.
	MoveSwapDB
	// MoveFlushDB says that all keys of the database are gone.
	MoveFlushDB
	// MoveFlushAll says that all keys of all databases are gone.
	MoveFlushAll
	// MoveRestore says that Dst gets the deadline that RewriteTime returned, if any.
	MoveRestore
)

var moveNames = [...]string{"none", "rename", "copy", "move", "swapdb", "flushdb", "flushall", "restore"}

// String returns the name of the kind in lower case.
func (k MoveKind) String() string {
	if int(k) < len(moveNames) {
		return moveNames[k]
	}
	return "unknown"
}

// Move says which deadlines a command carries where. The command need not have
// done it: RENAMENX, COPY and MOVE depend on the data, so whoever keeps an
// index of deadlines has to allow for both outcomes.
type Move struct {
	Kind MoveKind
	// Src and Dst are nil unless the kind is about single keys. They share
	// memory with the arguments.
	Src, Dst []byte
	// SrcDB and DstDB are CurrentDB unless the command names databases.
	SrcDB, DstDB int
}

// MovesDeadline tells which deadlines a write that Lookup has accepted carries
// to other keys. Deadlines that a command sets by itself are not moves;
// RewriteTime returns those.
func MovesDeadline(spec *Spec, args [][]byte) Move {
	m := Move{SrcDB: CurrentDB, DstDB: CurrentDB}
	if spec == nil || len(args) < max(spec.Arity, -spec.Arity) {
		return m
	}
	switch spec.Name {
	case "rename", "renamenx":
		m.Kind, m.Src, m.Dst = MoveRename, args[1], args[2]
	case "copy":
		m.Kind, m.Src, m.Dst = MoveCopy, args[1], args[2]
		// Lookup has checked the range; here every database will do.
		m.DstDB, _ = parseCopyDB(args, anyDB)
	case "move":
		m.Kind, m.Src, m.Dst = MoveKey, args[1], args[1]
		m.DstDB, _ = parseInt32(args[2])
	case "swapdb":
		m.Kind = MoveSwapDB
		m.SrcDB, _ = parseInt32(args[1])
		m.DstDB, _ = parseInt32(args[2])
	case "flushdb":
		m.Kind = MoveFlushDB
	case "flushall":
		m.Kind = MoveFlushAll
	case "restore":
		m.Kind, m.Dst = MoveRestore, args[1]
	}
	return m
}

var anyDB = Context{Databases: math.MaxInt32, ReservedDB: CurrentDB}
