package redis

import (
	"bytes"
	"strconv"
	"strings"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

var _ raft.Waiting = (*Sequencer)(nil)

// A topic is a key that may come to hold something of one kind: the letter of the kind, the database, a colon and the
// key.
var topicLetters = [...]byte{policy.KindList: 'l', policy.KindZSet: 'z', policy.KindStream: 's', policy.KindGroup: 'g'}

func topicOf(kind policy.Kind, db int, key []byte) string {
	var b strings.Builder
	b.Grow(len(key) + 5)
	b.WriteByte(topicLetters[kind])
	b.WriteString(strconv.Itoa(db))
	b.WriteByte(':')
	b.Write(key)
	return b.String()
}

// keyOf is the key of a topic.
func keyOf(topic string) []byte {
	_, key, _ := strings.Cut(topic, ":")
	return []byte(key)
}

// waitingCommand is a command that waits, out of its op.
type waitingCommand struct {
	item backend.Item
	args [][]byte
	spec *policy.Spec
}

// openWaiting reads the op of a command that was given to Wait, which has one item.
func openWaiting(table *policy.Table, ctx policy.Context, data []byte) (c waitingCommand, ok bool) {
	items, err := backend.DecodeOp(data, nil)
	if err != nil || len(items) != 1 {
		return c, false
	}
	c.item = items[0]
	if c.args, err = backend.ParseCommand(c.item.Cmd, nil); err != nil {
		return c, false
	}
	c.spec = table.Lookup(c.args, ctx).Spec
	return c, c.spec != nil
}

// Wants implements raft.Waiting.
func (q *Sequencer) Wants(cmd []byte) raft.Wants {
	c, ok := openWaiting(q.table, q.ctx, cmd)
	if !ok {
		return raft.Wants{}
	}
	b, _ := c.spec.WaitsFor(c.args)
	q.groups = q.groups || b.Kind == policy.KindGroup
	w := raft.Wants{Takes: b.Takes}
	for i, key := range b.Keys {
		if !containsKey(b.Keys[:i], key) {
			w.Topics = append(w.Topics, topicOf(b.Kind, c.item.DB, key))
		}
	}
	return w
}

func containsKey(keys [][]byte, key []byte) bool {
	for _, k := range keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// Wakes implements raft.Waiting.
func (q *Sequencer) Wakes(cmd []byte, dst []raft.Wake) (wakes []raft.Wake, all bool) {
	items, err := backend.DecodeOp(cmd, q.items[:0])
	q.items = items
	if err != nil {
		return dst, true
	}
	for i := range items {
		if q.brings, all = q.bring.append(q.brings[:0], &items[i], q.groups); all {
			return dst, true
		}
		for _, b := range q.brings {
			dst = append(dst, raft.Wake{Topic: topicOf(b.Kind, b.DB, b.Key), N: b.N, Sure: b.Exact && len(items) == 1})
		}
	}
	return dst, false
}

// bringer finds out what the items of ops bring. It is used by one goroutine.
type bringer struct {
	table *policy.Table
	ctx   policy.Context
	args  [][]byte // scratch
}

// append is AppendBrings for an item. Databases are filled in.
func (b *bringer) append(dst []policy.Brought, item *backend.Item, groups bool) (brings []policy.Brought, all bool) {
	if item.Flags&(backend.ItemCondition|backend.ItemUsers) != 0 {
		return dst, false
	}
	args, err := backend.ParseCommand(item.Cmd, b.args)
	b.args = args
	if err != nil {
		return dst, true
	}
	if item.Flags&backend.ItemExpire != 0 {
		return appendExpired(dst, item.DB, args)
	}
	spec := b.table.Lookup(args, b.ctx).Spec
	switch {
	case spec == nil || spec.Policy == policy.Refused:
		return dst, true // what nobody knows
	case spec.Name == "eval":
		return appendDeclared(dst, item.DB, args), false
	case spec.Policy == policy.WriteScript:
		return dst, true // a client's script may do anything
	}
	from := len(dst)
	dst, all = spec.AppendBrings(dst, args, groups)
	for i := from; i < len(dst); i++ {
		if dst[i].DB == policy.CurrentDB {
			dst[i].DB = item.DB
		}
	}
	return dst, all
}

// appendDeclared names the keys of a script of Nexus's own, which touches what it declares and nothing else.
func appendDeclared(dst []policy.Brought, db int, args [][]byte) []policy.Brought {
	for _, key := range declaredKeys(args) {
		for _, kind := range []policy.Kind{policy.KindList, policy.KindZSet, policy.KindStream, policy.KindGroup} {
			dst = append(dst, policy.Brought{DB: db, Key: key, Kind: kind, N: policy.Unknown})
		}
	}
	return dst
}

// declaredKeys are those of an EVAL in the log, which is always one of Nexus's own: clients' scripts are FCALLs there.
func declaredKeys(args [][]byte) [][]byte {
	if len(args) < 3 {
		return nil
	}
	n, err := strconv.Atoi(string(args[2]))
	if err != nil || n < 0 || n > len(args)-3 {
		return nil
	}
	return args[3 : 3+n]
}

// appendExpired names the keys that an ExpireItem deletes.
func appendExpired(dst []policy.Brought, db int, args [][]byte) (brings []policy.Brought, all bool) {
	if len(args) < 3 {
		return dst, true
	}
	n, err := strconv.Atoi(string(args[2]))
	if err != nil || n < 0 || n > len(args)-3 {
		return dst, true
	}
	for _, key := range args[3 : 3+n] {
		dst = append(dst, policy.Brought{DB: db, Key: key, Kind: policy.KindGroup, N: policy.Unknown})
	}
	return dst, false
}

// Attempt implements raft.Waiting. A command that is tried again asks for the type of each of its keys first: one that
// holds something else by now is no error for who waits already.
func (q *Sequencer) Attempt(stamp int64, cmd []byte, topics []string) []byte {
	if topics == nil {
		return q.rewrite(stamp, cmd, nil, nil)
	}
	c, ok := openWaiting(q.table, q.ctx, cmd)
	if !ok {
		return q.rewrite(stamp, cmd, nil, nil)
	}
	items := make([]backend.Item, 0, len(topics)+1)
	keys := make([][]byte, 0, len(topics))
	for _, topic := range topics {
		key := keyOf(topic)
		keys = append(keys, key)
		items = append(items, backend.Item{DB: c.item.DB, Cmd: appendRequest(nil, []byte("TYPE"), key)})
	}
	items = append(items, backend.Item{DB: c.item.DB, Flags: c.item.Flags,
		Cmd: appendRequest(nil, c.spec.BlockingKeys(c.args, keys)...)})
	return q.rewrite(stamp, backend.AppendOp(nil, items...), nil, nil)
}

const (
	replyNoArray  = "*-1\r\n"
	replyNoBulk   = "$-1\r\n"
	replyNothing3 = "_\r\n"
	replyUnblock  = "-UNBLOCKED the stream key no longer exists\r\n"
)

// Answer implements raft.Waiting. It may be called by any goroutine.
func (q *Sequencer) Answer(cmd, reply []byte) (answer []byte, served bool) {
	again, wrong, none := false, false, false
	c, _ := openWaiting(q.table, q.ctx, cmd)
	var kind policy.Kind
	if c.spec != nil {
		b, _ := c.spec.WaitsFor(c.args)
		kind = b.Kind
	}
	for len(reply) > 0 && reply[0] == '+' {
		line, rest, _ := bytes.Cut(reply, []byte("\r\n"))
		reply, again = rest, true
		switch string(line) {
		case "+none":
			none = true
		case kindTypes[kind]:
		default:
			wrong = true
		}
	}
	switch {
	case isNothing(reply):
		return nil, false
	case !again:
		return reply, true
	case kind == policy.KindGroup && (wrong || none) && bytes.HasPrefix(reply, []byte("-")):
		return []byte(replyUnblock), true
	case wrong && bytes.HasPrefix(reply, []byte("-WRONGTYPE ")):
		return nil, false
	}
	return reply, true
}

var kindTypes = [...]string{
	policy.KindList: "+list", policy.KindZSet: "+zset", policy.KindStream: "+stream", policy.KindGroup: "+stream",
}

// isNothing reports whether a reply says that there was nothing.
func isNothing(reply []byte) bool {
	return string(reply) == replyNoArray || string(reply) == replyNoBulk || string(reply) == replyNothing3
}
