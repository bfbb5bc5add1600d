package redis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// policySetting says which keys may be evicted. Backends have it too, since they keep what it needs to know of each key;
// they never evict, as they have no limit.
const policySetting = "maxmemory-policy"

// noEviction is the policy under which nothing may be evicted.
const noEviction = "noeviction"

// evictScript deletes KEYS; if ARGV[1] is not empty, those of them that have a deadline. It tells of each that it was
// evicted, where channels are given: ARGV[2] is the beginning of a channel that ends with the key, ARGV[3] a channel. It
// returns how many it has deleted. Memory that UNLINK frees later would look as if more had to be evicted.
const evictScript = `local n=0 for i,k in ipairs(KEYS) do ` +
	`if (ARGV[1]=='' or redis.call('PEXPIRETIME',k)>=0) and redis.call('DEL',k)==1 then n=n+1 ` +
	`if ARGV[2]~='' then redis.call('PUBLISH',ARGV[2]..k,'evicted') end ` +
	`if ARGV[3]~='' then redis.call('PUBLISH',ARGV[3],k) end ` +
	`end end return n`

// EvictItem returns the item that evicts keys. Which of them, the settings decide that the log has made before it: none if
// nothing may be evicted any more, and only those with a deadline if the policy is a volatile one. Its reply is their
// number, or nothing.
func EvictItem(db int, keys []string) Item {
	return Item{DB: db, Flags: ItemEvict, Cmd: appendStrings(nil, append([]string{"DEL"}, keys...)...)}
}

// EvictionPolicy returns the maxmemory-policy that entries have set. Safe for concurrent use.
func (b *Backend) EvictionPolicy() string {
	if p := b.policy.Load(); p != nil {
		return *p
	}
	return noEviction
}

// Evicted returns how many keys this node has evicted, by its own choice or another's, since the start of the process.
func (b *Backend) Evicted() uint64 { return b.stats.evicted.Load() }

// policy returns the maxmemory-policy that was set.
func (s nodeSettings) policy() string {
	if p, ok := s.values[policySetting]; ok {
		return p
	}
	return noEviction
}

// evicts reports whether keys may be evicted, and whether these are only keys with a deadline.
func (s nodeSettings) evicts() (ever, volatile bool) {
	policy := s.policy()
	return s.limit > 0 && policy != noEviction, strings.HasPrefix(policy, "volatile-")
}

// addEvict adds an ItemEvict command.
func (r *run) addEvict(it *Item, s slot) error {
	evicts, volatile := r.settings.evicts()
	if !evicts {
		return nil
	}
	named, err := ParseCommand(it.Cmd, r.args)
	if r.args = named; err != nil {
		return err
	}
	if len(named) < 2 {
		return errors.New("an eviction names no keys")
	}
	only := ""
	if volatile {
		only = "volatile"
	}
	args := append([][]byte{[]byte("EVAL"), []byte(evictScript), strconv.AppendInt(nil, int64(len(named)-1), 10)}, named[1:]...)
	toKey, toEvent := r.settings.channels(it.DB, 'e', "evicted")
	r.sendSilently(AppendCommand(nil, append(args, []byte(only), toKey, toEvent)...), s)
	return nil
}

// evicted takes keys that are gone, or have no deadline, out of the index, and returns how many were evicted. The caller
// holds d.mu.
func (d *Deadlines) evicted(db int, named [][]byte, reply []byte) (int64, error) {
	n, _, ok := cutInteger(reply)
	if !ok {
		return 0, fmt.Errorf("an eviction was answered with %.40q", reply)
	}
	for _, key := range named[1:] {
		d.drop(db, string(key))
	}
	return n, nil
}
