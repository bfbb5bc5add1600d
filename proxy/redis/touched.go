package redis

import (
	"math"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// maxTouchedItems bounds the commands that are looked at for the conditions of one entry. With more, the conditions do
// not hold: the raft loop waits for this.
const maxTouchedItems = 1 << 15

// beingMade stands for the index of the entry that is being made.
const beingMade = math.MaxUint64

// touched knows which keys the end of the log may touch. It is filled only when a condition is met, and only for the
// entry that is being made then: the log itself is the memory, so a new leader knows as much as the old one.
type touched struct {
	log   raft.LogView // nil: nothing is known, so no condition holds
	table *policy.Table
	ctx   policy.Context

	active  bool
	waiters bool   // those who wait were noted
	from    uint64 // entries after this index were looked at
	items   int    // looked at
	// The greatest index that touches a key, any key of a database, and any key at all.
	keys map[watchedKey]uint64
	dbs  map[int]uint64
	all  uint64

	// Scratch.
	op      []backend.Item
	args    [][]byte
	names   [][]byte
	watched [][]byte
}

// begin starts with the commands that stand before the first condition of an entry.
func (t *touched) begin(before, cmds []raft.Command) {
	t.active, t.waiters, t.from, t.items, t.all = true, false, math.MaxUint64, 0, 0
	t.keys, t.dbs = make(map[watchedKey]uint64), make(map[int]uint64)
	for i := range before {
		t.note(before[i].Data, beingMade)
	}
	for i := range cmds {
		t.note(cmds[i].Data, beingMade)
	}
	t.noteWaiting(len(before)+len(cmds) > 0)
}

// noteNext notes a command that stands behind the first condition. It may wake those who wait.
func (t *touched) noteNext(cmd []byte) {
	t.note(cmd, beingMade)
	t.noteWaiting(true)
}

// noteWaiting notes, once, what those who wait may do when they are served in the entry that is being made, which woken
// says is possible at all.
func (t *touched) noteWaiting(woken bool) {
	if t.log == nil || t.waiters {
		return
	}
	waiting, due := t.log.Waiting()
	if !woken && !due {
		return
	}
	t.waiters = true
	for _, cmd := range waiting {
		t.note(cmd, beingMade)
	}
}

// end forgets everything.
func (t *touched) end() {
	if t.active {
		t.active, t.keys, t.dbs = false, nil, nil
	}
}

// holds reports whether a condition of an op holds.
func (t *touched) holds(condition backend.Item) bool {
	index, keys, err := backend.ParseCondition(condition, t.watched)
	t.watched = keys
	if err != nil || !t.look(index) {
		return false
	}
	if t.all > index || t.dbs[condition.DB] > index {
		return false
	}
	for _, k := range keys {
		if t.keys[watchedKey{condition.DB, string(k)}] > index {
			return false
		}
	}
	return true
}

// look makes sure that all entries after index were looked at. False: that cannot be.
func (t *touched) look(index uint64) bool {
	if index >= t.from {
		return true
	}
	if t.log == nil {
		return false
	}
	entries, ok := t.log.After(index)
	if !ok {
		return false
	}
	t.from = index
	for i := range entries {
		for j := range entries[i].Commands {
			t.note(entries[i].Commands[j].Data, entries[i].Index)
		}
	}
	return true
}

// note looks at one op of the entry at index.
func (t *touched) note(data []byte, index uint64) {
	if t.items > maxTouchedItems {
		return
	}
	op, err := backend.DecodeOp(data, t.op)
	t.op = op
	t.items += len(op)
	if err != nil || t.items > maxTouchedItems {
		t.all = math.MaxUint64
		return
	}
	for i := range op {
		if op[i].Flags&(backend.ItemCondition|backend.ItemUsers) == 0 {
			t.noteItem(&op[i], index)
		}
	}
}

func (t *touched) noteItem(item *backend.Item, index uint64) {
	args, err := backend.ParseCommand(item.Cmd, t.args)
	t.args = args
	switch {
	case err != nil:
		t.all = max(t.all, index)
		return
	case item.Flags&backend.ItemExpire != 0:
		for _, k := range backend.ExpireKeys(args) {
			t.noteKey(item.DB, k, index)
		}
		return
	case isErrorItem(args):
		return
	}
	d := t.table.Lookup(args, t.ctx)
	switch {
	case d.Err == "" && d.Spec.Name == "eval":
		for _, k := range declaredKeys(args) {
			t.noteKey(item.DB, k, index)
		}
	case d.Err != "" || d.Policy == policy.WriteScript:
		// A client's script, or what only the leader may log: what it does is not known.
		t.all = max(t.all, index)
	case d.Policy.Writes():
		t.noteWrite(item.DB, d.Spec, args, index)
	}
}

// noteWrite notes what a write names. What it reads only counts too: the table does not tell these apart.
func (t *touched) noteWrite(db int, spec *policy.Spec, args [][]byte, index uint64) {
	inDB := func(n int) int {
		if n == policy.CurrentDB {
			return db
		}
		return n
	}
	switch m := policy.MovesDeadline(spec, args); m.Kind {
	case policy.MoveKey:
		t.noteKey(inDB(m.SrcDB), m.Src, index)
		t.noteKey(inDB(m.DstDB), m.Dst, index)
		return
	case policy.MoveCopy:
		t.noteKey(inDB(m.DstDB), m.Dst, index)
		return
	case policy.MoveFlushDB:
		t.noteDB(db, index)
		return
	case policy.MoveSwapDB:
		t.noteDB(m.SrcDB, index)
		t.noteDB(m.DstDB, index)
		return
	}
	names, exact := spec.AppendKeys(t.names[:0], args)
	t.names = names
	if !exact {
		t.all = max(t.all, index)
		return
	}
	for _, k := range names {
		t.noteKey(db, k, index)
	}
}

func (t *touched) noteKey(db int, key []byte, index uint64) {
	k := watchedKey{db, string(key)}
	t.keys[k] = max(t.keys[k], index)
}

func (t *touched) noteDB(db int, index uint64) { t.dbs[db] = max(t.dbs[db], index) }
