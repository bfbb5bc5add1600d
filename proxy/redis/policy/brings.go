package policy

import "math"

// Unknown is the number of elements where it cannot be told.
const Unknown = math.MaxInt

// Brought says that a command may have put something into a key that others wait for.
type Brought struct {
	// DB is CurrentDB unless the command names another.
	DB   int
	Key  []byte
	Kind Kind
	// N is how many elements it brings at most.
	N int
	// Exact says that it brings N of them if it does not fail.
	Exact bool
}

// AppendBrings appends what a write may have brought, in the order in which Redis serves those who wait. all says that
// it may be anything.
//
// A key that holds nothing any more is brought too, to those who read in a group. What concerns only those may be left
// out if groups is false.
func (s *Spec) AppendBrings(dst []Brought, args [][]byte, groups bool) (brings []Brought, all bool) {
	if !s.Policy.Writes() {
		return dst, false
	}
	if len(args) < max(s.Arity, -s.Arity) {
		return dst, true
	}
	one := func(kind Kind, key []byte, n int, exact bool) ([]Brought, bool) {
		return append(dst, Brought{DB: CurrentDB, Key: key, Kind: kind, N: n, Exact: exact}), false
	}
	switch s.Name {
	case "lpush", "rpush":
		return one(KindList, args[1], len(args)-2, true)
	case "lpushx", "rpushx":
		return one(KindList, args[1], len(args)-2, false)
	case "lmove", "rpoplpush":
		return one(KindList, args[2], 1, false)
	case "blmove", "brpoplpush":
		return one(KindList, args[2], 1, true) // when it has come to it
	case "zadd":
		return one(KindZSet, args[1], (len(args)-2)/2, len(args) == 4)
	case "zincrby":
		return one(KindZSet, args[1], 1, true)
	case "geoadd":
		return one(KindZSet, args[1], (len(args)-2)/3, false)
	case "zunionstore", "zinterstore", "zdiffstore", "zrangestore", "geosearchstore":
		return s.overwrites(dst, args[1], KindZSet)
	case "sort":
		o, errText := parseSort(args, true)
		if errText != "" || !o.stores {
			return dst, false
		}
		return s.overwrites(dst, o.store, KindList)
	case "xadd":
		return s.overwrites(dst, args[1], KindStream)
	case "restore":
		return s.overwrites(dst, args[1], KindList, KindZSet, KindStream)
	case "lpop", "rpop", "lrem", "ltrim", "lset", "linsert", "lmpop", "blpop", "brpop", "blmpop", "zrem", "zpopmin", "zpopmax",
		"zremrangebyrank", "zremrangebyscore", "zremrangebylex", "zmpop", "bzpopmin", "bzpopmax", "bzmpop",
		"hset", "hdel", "hincrby", "sadd", "srem", "incr", "decr", "incrby", "decrby", "append", "setbit", "setrange",
		"xack", "xdel", "xtrim", "xclaim", "xautoclaim", "xreadgroup", "xsetid":
		// These bring nothing, and leave a stream a stream.
		return dst, false
	case "rename", "renamenx", "copy", "move":
		return s.appendMoved(dst, args), false
	}
	// What is left may have replaced or deleted a stream.
	if !groups && s.find == nil {
		return dst, s.Keys.Movable || s.Keys.Wide
	}
	keys, exact := s.AppendKeys(nil, args)
	for _, k := range keys {
		dst = append(dst, Brought{DB: CurrentDB, Key: k, Kind: KindGroup, N: Unknown})
	}
	return dst, !exact
}

// overwrites is for a key that holds one of kinds afterwards, and may have held a stream.
func (s *Spec) overwrites(dst []Brought, key []byte, kinds ...Kind) ([]Brought, bool) {
	for _, kind := range append(kinds, KindGroup) {
		dst = append(dst, Brought{DB: CurrentDB, Key: key, Kind: kind, N: Unknown})
	}
	return dst, false
}

// appendMoved is for the commands that put a key in another place.
func (s *Spec) appendMoved(dst []Brought, args [][]byte) []Brought {
	m := MovesDeadline(s, args)
	if m.Kind != MoveCopy {
		dst = append(dst, Brought{DB: m.SrcDB, Key: m.Src, Kind: KindGroup, N: Unknown})
	}
	for _, kind := range []Kind{KindList, KindZSet, KindStream, KindGroup} {
		dst = append(dst, Brought{DB: m.DstDB, Key: m.Dst, Kind: kind, N: Unknown})
	}
	return dst
}
