package redis

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

const (
	// minVictims is how many keys one round looks at to evict them at least: the average says little of those few.
	minVictims = 64
	// maxVictims is how many keys one round evicts at most: every replica is busy with nothing else meanwhile.
	maxVictims = 1000
	// maxCandidates is how many keys one round looks at.
	maxCandidates = 4000
	// maxCandidateBytes is how many bytes the names of these have together: they go to the backend, and into the log.
	maxCandidateBytes = 16 << 20
	// defaultSamples is the maxmemory-samples of a backend that does not tell.
	defaultSamples = 5
)

// evictionRule is a maxmemory-policy.
type evictionRule struct {
	never    bool
	volatile bool     // only keys with a deadline
	soonest  bool     // those whose deadline is first
	ask      []string // the command, without the key, that tells how worthy a key is of being evicted; nil: any is as good as another
	keeps    bool     // a greater answer means that it is to stay
}

func ruleOf(policy string) evictionRule {
	kind, by, ok := strings.Cut(policy, "-")
	if !ok {
		return evictionRule{never: true}
	}
	rule := evictionRule{volatile: kind == "volatile"}
	switch by {
	case "lru":
		rule.ask = []string{"OBJECT", "IDLETIME"}
	case "lfu":
		rule.ask, rule.keeps = []string{"OBJECT", "FREQ"}, true
	case "ttl":
		rule.soonest = true
	}
	return rule
}

// evictable returns how many keys the rule allows to evict.
func (l *memoryLook) evictable(rule evictionRule) int64 {
	if rule.volatile {
		return l.volatile
	}
	return l.keys()
}

// victim is a key that may be evicted.
type victim struct {
	db    int
	key   string
	worth int64 // the greatest goes first
}

// choose returns the items that evict keys with need bytes in all, or a part of that. It looks at maxmemory-samples keys, met by
// chance, for each that it may evict, and takes the best of them all. Redis looks at as many for one key after the other. With
// volatile-ttl it takes those whose deadlines are first.
func (e *evictor) choose(ctx context.Context, rule evictionRule, look *memoryLook, need int64) ([]backend.Item, error) {
	each := max(look.used/max(look.keys(), 1), 1)
	wanted := int(min(max(need/each, minVictims), maxVictims))
	candidates, err := e.candidates(ctx, rule, look, wanted)
	if err != nil {
		return nil, err
	}
	if candidates, err = e.weigh(ctx, rule, candidates); err != nil {
		return nil, err
	}
	slices.SortStableFunc(candidates, func(a, b victim) int { return cmp.Compare(b.worth, a.worth) })
	victims, err := e.enough(ctx, candidates[:min(len(candidates), wanted)], need)
	if err != nil {
		return nil, err
	}
	return evictItems(victims), nil
}

// candidates returns keys that may be evicted, each once.
func (e *evictor) candidates(ctx context.Context, rule evictionRule, look *memoryLook, wanted int) (list []victim, err error) {
	n := wanted
	if rule.ask != nil {
		n = min(wanted*e.samples(), maxCandidates)
	}
	switch {
	case rule.soonest:
		list = volatileKeys(e.srv.backend.Due(math.MaxInt64, n)) // in their order
	case rule.volatile:
		list = volatileKeys(e.srv.backend.Sample(n))
	default:
		list, err = e.anyKeys(ctx, look, n)
	}
	return distinct(list, e.srv.cfg.ReservedDB), err
}

// distinct returns the keys of list that may be evicted, each once, and as many as have names of maxCandidateBytes, but one at least.
func distinct(list []victim, reservedDB int) []victim {
	seen := make(map[watchedKey]bool, len(list))
	left := maxCandidateBytes
	return slices.DeleteFunc(list, func(v victim) bool {
		k := watchedKey{v.db, v.key}
		if seen[k] || v.db == reservedDB || len(seen) > 0 && len(v.key) > left {
			return true
		}
		seen[k] = true
		left -= len(v.key)
		return false
	})
}

func volatileKeys(keys []backend.DueKey) []victim {
	list := make([]victim, len(keys))
	for i, k := range keys {
		list[i] = victim{db: k.DB, key: k.Key}
	}
	return list
}

// anyKeys returns about n keys, of each database as many as its share of all keys.
func (e *evictor) anyKeys(ctx context.Context, look *memoryLook, n int) (list []victim, err error) {
	total := look.keys()
	for _, c := range look.dbs {
		share := int(math.Ceil(float64(n) * float64(c.keys) / float64(total)))
		if share == 0 {
			continue
		}
		var request []byte
		for range share {
			request = appendRequest(request, "RANDOMKEY")
		}
		replies, err := e.ask(ctx, c.db, request, share)
		if err != nil {
			return nil, err
		}
		for _, reply := range replies {
			if key, ok := replyBulk(reply); ok {
				list = append(list, victim{db: c.db, key: string(key)})
			}
		}
	}
	// Those of equal worth stay in this order: no database is to go first.
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, nil
}

// weigh asks how worthy of being evicted each of list is. Those that are gone are left out.
func (e *evictor) weigh(ctx context.Context, rule evictionRule, list []victim) ([]victim, error) {
	if rule.ask == nil {
		return list, nil
	}
	return e.each(ctx, list, rule.ask, func(v *victim, n int64) {
		v.worth = n
		if rule.keeps {
			v.worth = -n
		}
	})
}

// enough returns the first of list that have need bytes together.
func (e *evictor) enough(ctx context.Context, list []victim, need int64) ([]victim, error) {
	var victims []victim
	_, err := e.each(ctx, list, []string{"MEMORY", "USAGE"}, func(v *victim, n int64) {
		if need > 0 {
			victims = append(victims, *v)
		}
		need -= n
	})
	return victims, err
}

// each asks the backend about each of list, and calls found, in order, for those about which it answers with a number. It
// returns these.
func (e *evictor) each(ctx context.Context, list []victim, ask []string, found func(*victim, int64)) ([]victim, error) {
	answers := make([]int64, len(list))
	known := make([]bool, len(list))
	places := make(map[int][]int) // by database
	for i := range list {
		places[list[i].db] = append(places[list[i].db], i)
	}
	for db, at := range places {
		var request []byte
		for _, i := range at {
			request = appendRequest(request, append(slices.Clip(ask), list[i].key)...)
		}
		replies, err := e.ask(ctx, db, request, len(at))
		if err != nil {
			return nil, err
		}
		for j, reply := range replies {
			answers[at[j]], known[at[j]] = replyInt(reply)
		}
	}
	kept := list[:0]
	for i := range list {
		if known[i] {
			kept = append(kept, list[i])
			found(&kept[len(kept)-1], answers[i])
		}
	}
	return kept, nil
}

// ask runs n commands on the backend and returns their raw replies, or those of the first of them.
func (e *evictor) ask(ctx context.Context, db int, request []byte, n int) (replies [][]byte, err error) {
	raw, done, err := e.srv.backend.ReadAs(ctx, backend.RESP2, db, request, n)
	for ; err == nil && done > 0; done-- {
		var size int
		if size, err = replyLen(raw); err == nil {
			replies, raw = append(replies, raw[:size]), raw[size:]
		}
	}
	return replies, err
}

// samples returns the maxmemory-samples of the local backend.
func (e *evictor) samples() int {
	value, _, err := e.srv.backendSetting("maxmemory-samples")
	if n, ok := parseInt([]byte(value)); err == nil && ok && n > 0 {
		return int(min(n, maxCandidates))
	}
	return defaultSamples
}

// evictItems returns the items that evict keys, one for each database.
func evictItems(victims []victim) (items []backend.Item) {
	keys := make(map[int][]string)
	var dbs []int
	for _, v := range victims {
		if keys[v.db] == nil {
			dbs = append(dbs, v.db)
		}
		keys[v.db] = append(keys[v.db], v.key)
	}
	for _, db := range dbs {
		items = append(items, backend.EvictItem(db, keys[db]))
	}
	return items
}
