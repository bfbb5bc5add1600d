package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Layout of the data of a log entry, all integers unsigned varints unless said otherwise:
//
//	version  1 byte, entryVersion
//	stamp    milliseconds since the epoch
//	groups   number of groups, then for each:
//	  origin   8 bytes, little endian: the node whose Propose call waits, 0 for the sequencer's own
//	  id       8 bytes, little endian: unique to the call within the origin's lifetime. Its two highest bits are 0, or
//	           say that the group is an attempt of a command that may wait, or the end of such a wait: see idWaits
//	  commands number of commands, then for each: length, bytes
//
// An entry without data is raft's own (a new leader's first). A large entry is cut into pieces: see pieceVersion.
const entryVersion = 1

var errEntryShort = errors.New("log entry ends early")

// group is the commands of one Propose call.
type group struct {
	origin uint64
	id     uint64
	cmds   []Command
}

// size is what the group takes in an entry, roughly from above.
func (g *group) size() int {
	n := 32
	for i := range g.cmds {
		n += len(g.cmds[i].Data) + binary.MaxVarintLen32
	}
	return n
}

func appendEntry(dst []byte, stamp int64, groups []group) []byte {
	dst = append(dst, entryVersion)
	dst = binary.AppendUvarint(dst, uint64(stamp))
	return appendGroups(dst, groups)
}

func appendGroups(dst []byte, groups []group) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(groups)))
	for i := range groups {
		g := &groups[i]
		dst = appendGroupHead(dst, g)
		for j := range g.cmds {
			dst = binary.AppendUvarint(dst, uint64(len(g.cmds[j].Data)))
			dst = append(dst, g.cmds[j].Data...)
		}
	}
	return dst
}

func appendGroupHead(dst []byte, g *group) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, g.origin)
	dst = binary.LittleEndian.AppendUint64(dst, g.id)
	return binary.AppendUvarint(dst, uint64(len(g.cmds)))
}

// decodeStamp returns the stamp of an entry or a piece of one, 0 for an entry without data.
func decodeStamp(data []byte) (int64, error) {
	if len(data) == 0 {
		return 0, nil
	}
	if data[0] == pieceVersion {
		p, err := decodePiece(data)
		return int64(p.stamp), err
	}
	stamp, _, err := decodeHeader(data)
	return stamp, err
}

func decodeHeader(data []byte) (stamp int64, rest []byte, err error) {
	if data[0] != entryVersion {
		return 0, nil, versionError("log entry", int(data[0]), newestEntry)
	}
	v, n := binary.Uvarint(data[1:])
	if n <= 0 || int64(v) < 0 {
		return 0, nil, errEntryShort
	}
	return int64(v), data[1+n:], nil
}

// groupRef says which commands of an entry are whose: commands[from:to].
type groupRef struct {
	origin, id uint64
	from, to   int
}

// decodeEntry decodes the data of an entry. The commands share data's memory.
func decodeEntry(data []byte) (stamp int64, cmds []Command, groups []groupRef, err error) {
	return decodeEntryTo(data, nil, nil)
}

// decodeEntryTo is decodeEntry to memory that is used again, as far as it suffices.
func decodeEntryTo(data []byte, cmds []Command, groups []groupRef) (int64, []Command, []groupRef, error) {
	if len(data) == 0 {
		return 0, nil, nil, nil
	}
	stamp, rest, err := decodeHeader(data)
	if err != nil {
		return 0, nil, nil, err
	}
	cmds, groups, err = decodeGroups(rest, cmds[:0], groups[:0])
	return stamp, cmds, groups, err
}

// decodeGroups appends what data holds to cmds and groups, which are empty.
func decodeGroups(data []byte, cmds []Command, groups []groupRef) ([]Command, []groupRef, error) {
	n, data, err := takeCount(data)
	if err != nil {
		return nil, nil, err
	}
	for range n {
		if len(data) < 16 {
			return nil, nil, errEntryShort
		}
		ref := groupRef{
			origin: binary.LittleEndian.Uint64(data),
			id:     binary.LittleEndian.Uint64(data[8:]),
			from:   len(cmds),
		}
		var count int
		if count, data, err = takeCount(data[16:]); err != nil {
			return nil, nil, err
		}
		for range count {
			size, k := binary.Uvarint(data)
			if k <= 0 || size > uint64(len(data)-k) {
				return nil, nil, errEntryShort
			}
			cmds = append(cmds, Command{Data: data[k : k+int(size) : k+int(size)]})
			data = data[k+int(size):]
		}
		ref.to = len(cmds)
		groups = append(groups, ref)
	}
	if len(data) != 0 {
		return nil, nil, fmt.Errorf("log entry has %d bytes too many", len(data))
	}
	return cmds, groups, nil
}

// takeCount reads a number of things to come, each of which takes at least one byte, so that a lying count cannot make
// the decoder allocate more than the data justifies.
func takeCount(data []byte) (int, []byte, error) {
	n, k := binary.Uvarint(data)
	if k <= 0 || n > uint64(len(data)-k) {
		return 0, nil, errEntryShort
	}
	return int(n), data[k:], nil
}
