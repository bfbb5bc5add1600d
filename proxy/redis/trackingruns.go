package redis

import (
	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// A NOLOOP client is not told of keys that it has changed itself. The backend does not tell who has changed a key, but in
// which transaction of the node, and that is made of entries of the log whose commands are known. A client knows the
// entries of its own commands. So a key is the client's own if its command is the only one of the transaction that may have
// changed it. Where that is not certain, the client is told.

// runNames is what is known of one transaction.
type runNames struct {
	first, last uint64   // entries
	data        [][]byte // what they carry, for the order of their keys; nil if it is not wanted, or too much
	// For noloop clients.
	ops     int  // commands and transactions of clients, and deletions of due keys
	unknown bool // one of them may change keys that it does not name
	named   map[string]int
}

// few reports whether at most one op can have changed the key.
func (n *runNames) few(key []byte) bool {
	return n.ops == 1 || !n.unknown && n.named[string(key)] == 1
}

// runLog has the transactions that were not heard of yet, by their last entry.
type runLog map[uint64]*runNames

// maxRunLog bounds runLog. Apply waits for the reply to a transaction before it sends the next, and what they change is
// heard at about the same time.
const maxRunLog = 256

// take returns what is known of the transactions that were heard of, if it was one.
func (l runLog) take(runs []uint64) *runNames {
	var names *runNames
	for _, index := range runs {
		names = l[index]
		delete(l, index)
	}
	if len(runs) != 1 {
		return nil
	}
	return names
}

// applying is called by the goroutine of Apply with the entries of a transaction.
func (k *tracker) applying(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	k.announced.Store(entries[len(entries)-1].Index)
	k.mu.Lock()
	named, ordered := k.noloop > 0, len(k.table.keys) > 1
	k.mu.Unlock()
	if !named && !ordered {
		return
	}
	n := &runNames{first: entries[0].Index, last: entries[len(entries)-1].Index}
	if ordered {
		n.data = keptData(entries)
	}
	if named {
		k.name(n, entries)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.runs == nil || len(k.runs) >= maxRunLog {
		k.runs = make(runLog)
	}
	k.runs[n.last] = n
}

// name finds out what the commands of a transaction name.
func (k *tracker) name(n *runNames, entries []raft.Entry) {
	n.named = make(map[string]int)
	for i := range entries {
		for j := range entries[i].Commands {
			n.ops++
			w := k.srv.written(entries[i].Commands[j].Data)
			n.unknown = n.unknown || w.any
			for key := range w.keys {
				n.named[key]++
			}
		}
	}
}

// ownWrite is what ops of a client may have changed, and the entry that they are in.
type ownWrite struct {
	index uint64
	writtenKeys
}

// writtenKeys are the keys that an op may change, in whatever database; any if it may change others too.
type writtenKeys struct {
	keys map[string]struct{}
	any  bool
}

// written finds out what an op may change.
func (s *Server) written(op []byte) writtenKeys {
	w := writtenKeys{keys: make(map[string]struct{})}
	items, err := backend.DecodeOp(op, nil)
	if err != nil {
		return writtenKeys{any: true}
	}
	for i := range items {
		item := &items[i]
		if item.Flags&(backend.ItemCondition|backend.ItemUsers) != 0 {
			continue
		}
		args, err := backend.ParseCommand(item.Cmd, nil)
		if err != nil {
			return writtenKeys{any: true}
		}
		for _, key := range s.writtenBy(args, &w.any) {
			w.keys[string(key)] = struct{}{}
		}
	}
	return w
}

// writtenBy returns the keys that a command names, as it stands in the log, and sets unknown if there may be others.
func (s *Server) writtenBy(args [][]byte, unknown *bool) [][]byte {
	spec := s.table.Lookup(args, s.policyContext).Spec
	switch {
	case spec == nil:
		*unknown = true
		return nil
	case spec.Name == "eval":
		return declaredKeys(args) // one of Nexus's own, which changes nothing else
	case spec.Policy == policy.WriteScript:
		*unknown = true
		return nil
	case spec.Policy.Reads():
		return nil
	}
	keys, exact := spec.AppendKeys(nil, args)
	*unknown = *unknown || !exact
	return keys
}

// maxOwnWrites bounds what is kept of the writes of a client.
const maxOwnWrites = 64

// noteWrites notes what a noloop client has changed.
func (s *session) noteWrites(ops [][]byte, index uint64) {
	c := s.tracked
	if c == nil || !c.opts.noloop {
		return
	}
	own := ownWrite{index: index, writtenKeys: writtenKeys{keys: make(map[string]struct{})}}
	for _, op := range ops {
		w := s.srv.written(op)
		own.any = own.any || w.any
		for key := range w.keys {
			own.keys[key] = struct{}{}
		}
	}
	k := s.srv.tracker
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(c.wrote) >= maxOwnWrites {
		c.wrote = append(c.wrote[:0], c.wrote[maxOwnWrites/2:]...)
	}
	c.wrote = append(c.wrote, own)
}

// others returns the keys of a message that the client has not changed itself.
func (k *tracker) others(c *tracked, m invalidation) [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	var keys [][]byte
	for _, key := range m.keys {
		if !m.mine.few(key) || !c.hasWritten(m.mine, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c *tracked) hasWritten(n *runNames, key []byte) bool {
	for i := range c.wrote {
		w := &c.wrote[i]
		if w.index < n.first || w.index > n.last {
			continue
		}
		if _, ok := w.keys[string(key)]; ok || w.any && n.ops == 1 {
			return true
		}
	}
	return false
}
