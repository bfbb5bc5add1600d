package redis

import (
	"cmp"
	"math/rand/v2"
	"slices"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft"
)

const (
	// maxExpire is how many due keys are deleted by one entry. With more, the commands wait for the next entry.
	maxExpire = 1000
	// swapMemory is for how long after a SWAPDB a due key is looked for in both databases, in milliseconds of the log's
	// clock. It has to cover the time between proposing and applying.
	swapMemory = 60_000
)

// Sequencer decides on the leader what depends on time: it is a raft.Sequencer.
//
// No command reaches the log before the deletion of every key that is due at its stamp, so no command finds a key that
// somebody was told is gone. Expiry times become deadlines by the same stamp.
type Sequencer struct {
	index DeadlineIndex
	table *policy.Table
	ctx   policy.Context
	// arrivals is told of what was applied.
	arrivals *Arrivals

	swaps   []swap
	touched touched
	// Scratch. Sequence is called by one goroutine at a time.
	items  []backend.Item
	args   [][]byte
	brings []policy.Brought
	bring  bringer
	// groups is set once somebody waited in XREADGROUP: many writes concern only those.
	groups bool
}

// swap is a SWAPDB that may not be applied yet: until then, the index knows keys under the database they will leave.
type swap struct {
	a, b  int
	until int64
}

var _ raft.LogReader = (*Sequencer)(nil)

// NewSequencer returns the Sequencer for the backend with this index.
func NewSequencer(cfg Config, index DeadlineIndex) *Sequencer {
	table := policy.NewTable()
	ctx := policy.Context{Databases: cfg.Databases, ReservedDB: cfg.ReservedDB}
	q := &Sequencer{
		index: index,
		table: table,
		ctx:   ctx,

		arrivals: cfg.Arrivals,
		bring:    bringer{table: table, ctx: ctx},
	}
	q.touched.table, q.touched.ctx = q.table, q.ctx
	return q
}

// ReadLog implements raft.LogReader.
func (q *Sequencer) ReadLog(view raft.LogView) { q.touched.log = view }

// Sequence implements raft.Sequencer. stamp is in milliseconds since the epoch.
func (q *Sequencer) Sequence(stamp int64, cmds []raft.Command) (before []raft.Command, hold bool) {
	before, hold = q.expire(stamp)
	if hold {
		return before, true
	}
	for i := range cmds {
		cmds[i].Data = q.rewrite(stamp, cmds[i].Data, before, cmds[:i])
		if q.touched.active {
			q.touched.noteNext(cmds[i].Data)
		}
	}
	q.touched.end()
	return before, false
}

// expire returns the ops that delete what is due, one for each database.
func (q *Sequencer) expire(stamp int64) (ops []raft.Command, more bool) {
	next, ok := q.index.NextDue()
	if !ok || next > stamp {
		return nil, false
	}
	due := q.index.Due(stamp, maxExpire+1)
	if len(due) > maxExpire {
		due, more = due[:maxExpire], true
	}
	due = q.addSwapped(due, stamp)
	slices.SortFunc(due, func(a, b backend.DueKey) int {
		return cmp.Or(cmp.Compare(a.DB, b.DB), cmp.Compare(a.Key, b.Key))
	})
	for len(due) > 0 {
		db, keys := due[0].DB, make([]string, 0, len(due))
		for len(due) > 0 && due[0].DB == db {
			keys = append(keys, due[0].Key)
			due = due[1:]
		}
		data := backend.AppendOp(nil, backend.ExpireItem(stamp, db, slices.Compact(keys)))
		ops = append(ops, raft.Command{Data: data})
	}
	return ops, more
}

// addSwapped adds due keys under the database that a recent SWAPDB may have brought them to. An ExpireItem checks the
// deadline that the backend has, so a key too many does no harm.
func (q *Sequencer) addSwapped(due []backend.DueKey, stamp int64) []backend.DueKey {
	q.swaps = slices.DeleteFunc(q.swaps, func(w swap) bool { return w.until < stamp })
	for _, w := range q.swaps {
		for _, k := range due {
			switch k.DB {
			case w.a:
				k.DB = w.b
			case w.b:
				k.DB = w.a
			default:
				continue
			}
			due = append(due, k)
		}
	}
	return due
}

// rewrite returns the op as the log is to carry it: without items if a condition of it does not hold, for which the
// entry's own deletions and the commands that stand earlier in the entry count too.
func (q *Sequencer) rewrite(stamp int64, data []byte, before, earlier []raft.Command) []byte {
	items, err := backend.DecodeOp(data, q.items[:0])
	q.items = items
	if err != nil {
		// Logged as it is, it would stop every node.
		return backend.AppendOp(nil, errorItem(0, "ERR nexus: not executed: the leader does not understand the operation: "+reason(err)))
	}
	for i := range items {
		if items[i].Flags&backend.ItemCondition == 0 {
			continue
		}
		if !q.touched.active {
			q.touched.begin(before, earlier)
		}
		if !q.touched.holds(items[i]) {
			return backend.AppendOp(nil)
		}
	}
	changed := false
	for i := range items {
		if items[i].Flags&(backend.ItemTime|backend.ItemDeadline) != 0 {
			changed = q.rewriteItem(stamp, &items[i]) || changed
		}
	}
	if !changed {
		return data
	}
	return backend.AppendOp(make([]byte, 0, len(data)+2*opOverhead), items...)
}

// rewriteItem gives one item its deadline, tells the index, and reports whether the item was changed.
func (q *Sequencer) rewriteItem(stamp int64, item *backend.Item) bool {
	args, err := backend.ParseCommand(item.Cmd, q.args[:0])
	q.args = args
	if err != nil {
		*item = errorItem(item.DB, "ERR nexus: not executed: "+reason(err))
		return true
	}
	if item.Flags&backend.ItemTime == 0 {
		q.pendMoves(stamp, item.DB, args)
		return false
	}
	if script.IsCall(args) {
		item.Flags &^= backend.ItemTime
		item.Cmd = script.Stamp(args, stamp, rand.Int32())
		return true
	}
	out, deadline, errText := q.rewriteCommand(stamp, args)
	if errText != "" {
		*item = errorItem(item.DB, errText)
		return true
	}
	item.Flags &^= backend.ItemTime
	item.Cmd = backend.AppendCommand(nil, out...)
	if deadline > 0 && len(out) > 1 {
		q.index.Pend(item.DB, string(out[1]), deadline)
	}
	return true
}

// rewriteCommand returns a command without what the leader decides: time, and chance.
func (q *Sequencer) rewriteCommand(stamp int64, args [][]byte) (out [][]byte, deadline int64, errText string) {
	if d := q.table.Lookup(args, q.ctx); d.Policy == policy.Choice {
		return policy.RewriteChoice(args, rand.Uint64()), 0, ""
	}
	return policy.RewriteTime(args, stamp)
}

// pendMoves notes the deadline of the source of a RENAME, COPY or MOVE under its destination.
func (q *Sequencer) pendMoves(stamp int64, db int, args [][]byte) {
	d := q.table.Lookup(args, q.ctx)
	if d.Err != "" {
		return
	}
	m := policy.MovesDeadline(d.Spec, args)
	src, dst := db, db
	if m.SrcDB != policy.CurrentDB {
		src = m.SrcDB
	}
	if m.DstDB != policy.CurrentDB {
		dst = m.DstDB
	}
	switch m.Kind {
	case policy.MoveRename, policy.MoveCopy, policy.MoveKey:
		if at, ok := q.index.Deadline(src, m.Src); ok {
			q.index.Pend(dst, string(m.Dst), at)
		}
	case policy.MoveSwapDB:
		if src != dst {
			q.swaps = append(q.swaps, swap{a: src, b: dst, until: stamp + swapMemory})
		}
	}
}

const errorScript = "return redis.error_reply(ARGV[1])"

// errorItem is a command that does nothing and answers text. Its reply is an error on every node alike.
func errorItem(db int, text string) backend.Item {
	cmd := appendRequest(nil, "EVAL", errorScript, "0", text)
	return backend.Item{DB: db, Cmd: cmd}
}

func isErrorItem(args [][]byte) bool {
	return len(args) == 4 && string(args[0]) == "EVAL" && string(args[1]) == errorScript
}
