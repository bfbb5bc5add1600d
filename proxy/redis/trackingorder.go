package redis

import (
	"cmp"
	"slices"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

// The backend tells of the keys of a transaction in the order of their names. A plain Redis tells a client of those that it
// has read one by one, as they are changed, so that the keys of an MSET come as its arguments do.

// maxOrderedBytes bounds what is kept of a transaction until it is heard of. The keys of a larger one come as they do.
const maxOrderedBytes = 16 << 10

// keptData returns a copy of what entries carry, or nil if it is too much.
func keptData(entries []raft.Entry) [][]byte {
	size, ops := 0, 0
	for i := range entries {
		for j := range entries[i].Commands {
			ops++
			if size += len(entries[i].Commands[j].Data); size > maxOrderedBytes {
				return nil
			}
		}
	}
	data, all := make([][]byte, 0, ops), make([]byte, 0, size)
	for i := range entries {
		for j := range entries[i].Commands {
			from := len(all)
			all = append(all, entries[i].Commands[j].Data...)
			data = append(data, all[from:])
		}
	}
	return data
}

// order sorts keys that a transaction has changed as its commands name them. Those that none names come last.
func (s *Server) order(n *runNames, keys [][]byte) {
	places := make(map[string]int, len(keys))
	for _, key := range keys {
		places[string(key)] = 0
	}
	place := -len(keys)
	for _, op := range n.data {
		items, err := backend.DecodeOp(op, nil)
		if err != nil {
			continue
		}
		for i := range items {
			if items[i].Flags&(backend.ItemCondition|backend.ItemUsers) != 0 {
				continue
			}
			args, err := backend.ParseCommand(items[i].Cmd, nil)
			if err != nil {
				continue
			}
			for _, key := range s.writtenBy(args, new(bool)) {
				if known, ok := places[string(key)]; ok && known == 0 {
					places[string(key)] = place
					place++
				}
			}
		}
	}
	slices.SortStableFunc(keys, func(a, b []byte) int { return cmp.Compare(places[string(a)], places[string(b)]) })
}

// known returns those of keys that clients may have cached.
func (t *trackingTable) known(keys [][]byte) [][]byte {
	if len(t.keys) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key []byte) bool { return t.keys[string(key)] == nil })
}
