package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ItemFlags say what an Item needs when it is proposed or applied.
type ItemFlags uint8

const (
	// ItemTime marks a command whose meaning depends on the leader's clock or choice and that must be rewritten before
	// it may be logged. Apply stops with a *raft.FatalError when it meets one.
	ItemTime ItemFlags = 1 << iota
	// ItemDeadline marks a command that may set, move or drop the deadlines of keys. Only these are parsed at apply.
	ItemDeadline
	// ItemExpire marks the deletion of due keys made by ExpireItem.
	ItemExpire
	// ItemCondition marks what ConditionItem made. It is for the leader, is not executed, and has no reply.
	ItemCondition
	// ItemRESP3 asks for the reply in RESP3. It matters only where somebody waits for the reply.
	ItemRESP3
	// ItemEvict marks what EvictItem made.
	ItemEvict
	// ItemUsers marks what UsersItem made. Nodes of former versions stop at it.
	ItemUsers

	allItemFlags = ItemTime | ItemDeadline | ItemExpire | ItemCondition | ItemRESP3 | ItemEvict | ItemUsers
)

// Item is one Redis command of an op, to be executed in database DB.
type Item struct {
	DB    int
	Flags ItemFlags
	// Cmd is one complete RESP2 multibulk command. It is sent to the backend byte for byte.
	Cmd []byte
}

// opVersion is the first byte of every op. A node that meets one it does not know must not guess.
const opVersion = 1

// copyStep bounds one copy of a large value: nothing can interrupt it, and the whole process waits for it now and then.
const copyStep = 1 << 20

// AppendOp appends the encoding of an op, which is the Data of one raft.Command:
//
//	version byte, number of items, then for each: database, flags byte, length of Cmd, Cmd
//
// Numbers are unsigned varints. Apply's reply to an op is the raw replies of its items, one after the other: nothing for
// an op without items. It panics on a negative DB, which is a mistake of the caller.
func AppendOp(dst []byte, items ...Item) []byte {
	dst = append(dst, opVersion)
	dst = binary.AppendUvarint(dst, uint64(len(items)))
	for i := range items {
		it := &items[i]
		if it.DB < 0 {
			panic("redis: AppendOp: negative database")
		}
		dst = binary.AppendUvarint(dst, uint64(it.DB))
		dst = append(dst, byte(it.Flags))
		dst = binary.AppendUvarint(dst, uint64(len(it.Cmd)))
		for rest := it.Cmd; len(rest) > 0; {
			n := min(len(rest), copyStep)
			dst, rest = append(dst, rest[:n]...), rest[n:]
		}
	}
	return dst
}

var errOpShort = errors.New("decode op: cut short")

// DecodeOp appends the items of an op to items[:0] and returns them. Each Cmd is a part of data, not a copy. It checks
// the frame of the op, not that each Cmd is a command: see ParseCommand.
func DecodeOp(data []byte, items []Item) ([]Item, error) {
	return decodeOp(data, items[:0])
}

// decodeOp appends the items of an op to items.
func decodeOp(data []byte, items []Item) ([]Item, error) {
	if len(data) == 0 {
		return items, errOpShort
	}
	if data[0] != opVersion {
		return items, fmt.Errorf("command in the log has version %d: it was written by a newer version, this program reads version %d: start the newer one again, or replace this node", data[0], opVersion)
	}
	count, rest, ok := cutUvarint(data[1:])
	if !ok {
		return items, errOpShort
	}
	for ; count > 0; count-- {
		var db, size uint64
		if db, rest, ok = cutUvarint(rest); !ok || len(rest) == 0 {
			return items, errOpShort
		}
		if db > math.MaxInt32 {
			return items, fmt.Errorf("decode op: database %d is out of range", db)
		}
		flags := ItemFlags(rest[0])
		if flags&^allItemFlags != 0 {
			return items, fmt.Errorf("command in the log has flags %#x: it was written by a newer version, this program knows %#x: start the newer one again, or replace this node", uint8(flags), uint8(allItemFlags))
		}
		if size, rest, ok = cutUvarint(rest[1:]); !ok || size > uint64(len(rest)) {
			return items, errOpShort
		}
		items = append(items, Item{DB: int(db), Flags: flags, Cmd: rest[:size:size]})
		rest = rest[size:]
	}
	if len(rest) != 0 {
		return items, fmt.Errorf("decode op: %d bytes behind the last item", len(rest))
	}
	return items, nil
}

func cutUvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, b, false
	}
	return v, b[n:], true
}
