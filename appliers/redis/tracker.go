package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nexus-replication/nexus/raft"
)

// Tracker is a connection on which the backend tells which keys its commands have changed, in whatever database. It ends as
// a Subscriber does: when the backend closes it, when the data of the backend is replaced, and when nothing was heard for
// Config.ReplyTimeout, so somebody has to Ping.
//
// One goroutine may call Next while another calls Ping.
type Tracker struct {
	*Subscriber
	b     *Backend
	hooks *trackerHooks
}

// trackerHooks are what Apply has to do for a Tracker.
type trackerHooks struct {
	applying func(entries []raft.Entry)
}

// Change is what a Tracker has heard.
type Change struct {
	// All says that any key may have changed. With Lost, more was told than is kept, of one transaction or several.
	All, Lost bool
	// Keys have changed. Those of the bookkeeping are in Own: clients may have keys of the same names.
	Keys, Own [][]byte
	// Runs are the transactions that changed them, as the index of the last entry of each.
	Runs []uint64
	// Pong is the number of a Ping. All that was applied before it has been heard then.
	Pong uint64
}

// A transaction of Apply changes a key of one of these names for the Tracker, and deletes it again. They tell where in the
// log the transaction stands, and that databases were swapped, of which the server tells nothing.
const (
	runKeyPrefix  = "raft.run:"
	swapKeyPrefix = "raft.swap:"
)

// maxChange bounds what one message may take; of what is larger it is only known that there was something.
const maxChange = 8 << 20

// Tracker makes the connection. applying is called by the goroutine of Apply with the entries of each transaction before it
// is executed; it may come again for some of them. What was being executed when Tracker was called may be heard without
// Runs, and where databases were swapped, not at all.
func (b *Backend) Tracker(ctx context.Context, applying func(entries []raft.Entry)) (*Tracker, error) {
	hooks := &trackerHooks{applying: applying}
	b.tracking.Store(hooks)
	set := &b.subscribers
	era, err := set.reserve(b.cfg.MaxSubscribers)
	if err != nil {
		b.tracking.CompareAndSwap(hooks, nil)
		return nil, fmt.Errorf("connect for a tracker: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.closing, cancel)()
	c, err := b.dialTracker(ctx)
	if err != nil {
		set.giveUp()
		b.tracking.CompareAndSwap(hooks, nil)
		return nil, fmt.Errorf("connect for a tracker: %w", err)
	}
	s, err := set.add(c, era)
	if err != nil {
		b.tracking.CompareAndSwap(hooks, nil)
		return nil, err
	}
	return &Tracker{Subscriber: s, b: b, hooks: hooks}, nil
}

func (b *Backend) dialTracker(ctx context.Context) (*conn, error) {
	c, err := b.dialRead(ctx, RESP3, 0)
	if err != nil {
		return nil, err
	}
	if _, err := c.one("CLIENT", "TRACKING", "ON", "BCAST"); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the tracking.
func (t *Tracker) Close() error {
	t.b.tracking.CompareAndSwap(t.hooks, nil)
	return t.Subscriber.Close()
}

// Ping asks for a Change with the number, which must not be 0.
func (t *Tracker) Ping(number uint64) error {
	_, err := t.c.Write(appendStrings(nil, "PING", strconv.FormatUint(number, 10)))
	return err
}

// Next waits for what comes. The Change is the caller's.
func (t *Tracker) Next() (Change, error) {
	raw, kept, err := t.c.r.keep(nil, maxChange)
	switch {
	case err != nil:
		return Change{}, fmt.Errorf("read what has changed: %w", err)
	case !kept:
		return Change{All: true, Lost: true}, nil
	}
	return parseChange(raw)
}

var errChange = errors.New("the backend sent what is no change")

func parseChange(raw []byte) (Change, error) {
	if text, _, ok := cutBulk(raw); ok && raw[0] == '$' {
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err != nil {
			return Change{}, fmt.Errorf("%w: %.80q", errChange, raw)
		}
		return Change{Pong: n}, nil
	}
	const head = ">2\r\n$10\r\ninvalidate\r\n"
	rest, ok := bytes.CutPrefix(raw, []byte(head))
	if !ok {
		return Change{}, fmt.Errorf("%w: %.80q", errChange, raw)
	}
	if string(rest) == "_\r\n" {
		return Change{All: true}, nil
	}
	n, rest, ok := cutHead(rest, '*')
	if !ok {
		return Change{}, fmt.Errorf("%w: %.80q", errChange, raw)
	}
	c := Change{Keys: make([][]byte, 0, n)}
	for range n {
		var key []byte
		if key, rest, ok = cutBulk(rest); !ok {
			return Change{}, fmt.Errorf("%w: %.80q", errChange, raw)
		}
		c.add(key)
	}
	return c, nil
}

// IsOwnKey reports whether the bookkeeping has a key of that name.
func IsOwnKey(key []byte) bool {
	return string(key) == markerKey || string(key) == settingsKey || string(key) == usersKey || bytes.HasPrefix(key, []byte(runKeyPrefix)) ||
		bytes.HasPrefix(key, []byte(swapKeyPrefix))
}

func (c *Change) add(key []byte) {
	switch {
	case !IsOwnKey(key):
		c.Keys = append(c.Keys, key)
		return
	case string(key) == markerKey, string(key) == settingsKey, string(key) == usersKey:
		c.Own = append(c.Own, key)
		return
	}
	number, swap := bytes.CutPrefix(key, []byte(swapKeyPrefix))
	if !swap {
		number = bytes.TrimPrefix(key, []byte(runKeyPrefix))
	}
	index, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		c.Keys = append(c.Keys, key)
		return
	}
	// A client's key of such a name is taken for a transaction, and for one that clients do not know.
	c.Own = append(c.Own, key)
	c.Runs = append(c.Runs, index)
	c.All = c.All || swap
}

// tell announces the transaction that is built to the Tracker, if there is one.
func (b *Backend) tell(entries []raft.Entry) {
	hooks := b.tracking.Load()
	b.run.tracked = hooks != nil
	if hooks != nil && hooks.applying != nil {
		hooks.applying(entries)
	}
}

// number has the Tracker know which transaction it hears of.
func (r *run) number() {
	prefix := runKeyPrefix
	for i := range r.slots {
		if r.slots[i].kind != slotItem {
			continue
		}
		if name, err := checkCommand(r.slots[i].cmd); err == nil && bytes.EqualFold(name, []byte("SWAPDB")) {
			prefix = swapKeyPrefix
			break
		}
	}
	key := strconv.AppendUint([]byte(prefix), r.position.Index, 10)
	r.out = AppendCommand(r.out, []byte("SET"), key, nil)
	r.out = AppendCommand(r.out, []byte("DEL"), key)
	r.slots = append(r.slots, slot{kind: slotNumber, want: -1}, slot{kind: slotNumber, want: -1})
}
