package redis

import (
	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/script"
)

// trackingTable says which keys clients may have cached, and which clients: those that have read them since they were last
// told to forget them. A key is a name in whatever database, as in Redis.
type trackingTable struct {
	keys map[string][]*tracked
	// items counts the pairs of key and client, bytes about what all of them take.
	items, bytes int
}

const (
	// maxTrackingBytes bounds the table whatever tracking-table-max-keys says.
	maxTrackingBytes = 256 << 20
	// trackingItemBytes is about what a pair takes beside the name of the key.
	trackingItemBytes = 128
)

func newTrackingTable() trackingTable {
	return trackingTable{keys: make(map[string][]*tracked)}
}

// add notes that a client may have cached a key.
func (t *trackingTable) add(c *tracked, key []byte) {
	if _, ok := c.keys[string(key)]; ok {
		return
	}
	list, known := t.keys[string(key)]
	name := string(key)
	if !known {
		t.bytes += len(name)
	}
	t.keys[name] = append(list, c)
	c.keys[name] = struct{}{}
	t.items++
	t.bytes += trackingItemBytes
}

// take forgets a key and returns the clients that may have cached it.
func (t *trackingTable) take(key []byte) []*tracked {
	list, ok := t.keys[string(key)]
	if !ok {
		return nil
	}
	delete(t.keys, string(key))
	for _, c := range list {
		delete(c.keys, string(key))
	}
	t.items -= len(list)
	t.bytes -= len(key) + len(list)*trackingItemBytes
	return list
}

// drop forgets a client.
func (t *trackingTable) drop(c *tracked) {
	for key := range c.keys {
		list := t.keys[key]
		kept := make([]*tracked, 0, len(list)-1)
		for _, other := range list {
			if other != c {
				kept = append(kept, other)
			}
		}
		t.items--
		t.bytes -= trackingItemBytes
		if len(kept) > 0 {
			t.keys[key] = kept
			continue
		}
		delete(t.keys, key)
		t.bytes -= len(key)
	}
	clear(c.keys)
}

// clear forgets all keys.
func (t *trackingTable) clear() {
	for _, list := range t.keys {
		for _, c := range list {
			clear(c.keys)
		}
	}
	*t = newTrackingTable()
}

// excess returns a key, by chance, that has to go because there are more than limit, or too many bytes. No limit is 0.
func (t *trackingTable) excess(limit int64) (key string, ok bool) {
	if t.bytes <= maxTrackingBytes && (limit == 0 || int64(len(t.keys)) <= limit) {
		return "", false
	}
	for key := range t.keys {
		return key, true
	}
	return "", false
}

// isOwnKey reports whether something beside the data of clients may have a key of that name, in the reserved database. A
// client may have one too, in another database; which of them has changed is not told.
func isOwnKey(key []byte) bool { return backend.IsOwnKey(key) || script.IsOwnKey(key) }

// splitOwn returns the keys of a change without those for which isOwnKey holds, and these.
func splitOwn(change backend.Change) (keys, own [][]byte) {
	own = change.Own
	for _, key := range change.Keys {
		if script.IsOwnKey(key) {
			own = append(own, key)
		} else {
			keys = append(keys, key)
		}
	}
	return keys, own
}
