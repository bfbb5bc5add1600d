package raft

import (
	"cmp"
	"container/list"
	"maps"
	"math"
	"slices"
	"sync/atomic"
)

// Unlimited is a Wake.N that is not known.
const Unlimited = math.MaxInt

// Waiting is implemented by a Sequencer whose Store has commands that may have to wait for others: see Replicator.Wait.
// Like Sequence, all but Answer are called on the leader only, by one goroutine at a time.
type Waiting interface {
	Sequencer
	// Wants returns what a command that was given to Wait waits for.
	Wants(cmd []byte) Wants
	// Wakes appends to dst the topics on which cmd, as it was proposed, may bring something for those who wait, in the
	// order in which they are to be served; of a command that was given to Wait, supposing that it is served. all says
	// that it may do so on any topic.
	Wakes(cmd []byte, dst []Wake) (wakes []Wake, all bool)
	// Attempt returns the form in which the log carries a waiting command when it is tried again: so that it can be
	// served on topics only.
	Attempt(stamp int64, cmd []byte, topics []string) []byte
	// Answer returns what the caller of Wait gets for reply, which is the Store's to cmd or to an attempt of it; or
	// false if the command goes on waiting. It may be called by any goroutine.
	Answer(cmd, reply []byte) (answer []byte, served bool)
}

// Wants is what a command waits for.
type Wants struct {
	// Topics are names of things that others may bring, each at most once.
	Topics []string
	// Takes is how many such things it takes away at most when it is served; 0 if it leaves all to others.
	Takes int
}

// Wake is what a command brings.
type Wake struct {
	Topic string
	// N is how many things it brings at most.
	N int
	// Sure says that it brings exactly N, unless it fails.
	Sure bool
}

// waitID names a waiting proposal. The id is without its kind.
type waitID struct{ origin, id uint64 }

// brought is a Wake to be dealt with. If it may not happen, because it is of an attempt of unknown outcome, nothing is
// owed for it before that is known.
type brought struct {
	Wake
	maybe bool
}

// waiter is a proposal that waits on the leader. It is in the log once or more often, and at most one of these attempts
// is not applied yet: it flies.
type waiter struct {
	waitID
	cmd    []byte
	wants  Wants
	number uint64          // in the order of arrival
	places []*list.Element // in the queues of its topics
	link   *waitLink       // of its node; nil for this one

	tried  bool // it was in the log
	first  bool // its last attempt was the first
	flying bool
	sure   bool // the attempt that flies is expected to be served
	ended  bool // nobody waits any more: it goes when it has landed
	again  bool // it is among those to be tried again
}

// waitTopic is the queue of those who wait for one thing.
type waitTopic struct {
	queue list.List // of *waiter, first come first served
	// owed is how many things came while it was not known whom they are for, because an attempt of the first in the
	// queue was flying.
	owed int
	due  bool
}

// waitQueue is who waits on the leader. It is owned by the loop, and it is soft: another leader begins with an empty one
// and is told by the nodes whose clients wait.
//
// A command that brings something is followed, in the same entry, by attempts of those who wait for it: one transaction
// of the Store, in which nobody else sees what was brought. Since entries are proposed before earlier ones are applied,
// the queue has to tell what is certain from what is not. After a command that brings n things for sure, the first n who
// wait are as good as served, and the next command's are for those behind them. Otherwise it waits for the outcome, and
// what comes meanwhile is owed to the topic and tried again.
type waitQueue struct {
	rules  Waiting
	bytes  *atomic.Int64             // what other nodes' waiters take is added here
	absent func(link *waitLink) bool // nothing may be taken for clients of a node that is not there
	room   int                       // attempts in one entry at most
	byID   map[waitID]*waiter
	number uint64 // of the last waiter
	topics map[string]*waitTopic
	due    []string            // topics to be tried again
	again  []*waiter           // who is to be tried again
	owing  map[string]struct{} // topics that are owed something
	early  map[waitID]struct{} // ended before they came
	fresh  []*waiter           // not tried yet, because their topics are owed something

	// The entry being made.
	stamp    int64
	groups   []group
	launched []*waiter
	arrived  []*waiter
	met      []waitID // of early
	work     []brought
	wakes    []Wake // scratch
}

func newWaitQueue(rules Waiting, room int, bytes *atomic.Int64, absent func(*waitLink) bool) *waitQueue {
	q := &waitQueue{rules: rules, room: room, bytes: bytes, absent: absent}
	q.clear()
	return q
}

// clear forgets everyone.
func (q *waitQueue) clear() {
	for _, w := range q.byID {
		if w.link != nil {
			q.bytes.Add(-int64(len(w.cmd)))
		}
	}
	q.byID, q.topics = make(map[waitID]*waiter), make(map[string]*waitTopic)
	q.owing, q.early = make(map[string]struct{}), make(map[waitID]struct{})
	q.due, q.again, q.fresh, q.work = nil, nil, nil, nil
	q.commit()
}

func (q *waitQueue) empty() bool { return len(q.byID) == 0 }

// isDue reports whether the queue has something to put into an entry.
func (q *waitQueue) isDue() bool { return len(q.due)+len(q.again) > 0 }

// begin starts an entry with what the Sequencer put before all else. What is owed comes next.
func (q *waitQueue) begin(stamp int64, before []group) {
	q.stamp, q.groups = stamp, nil
	for _, g := range before {
		q.command(g, g.cmds)
	}
	q.tryAgain()
	due := q.due
	q.due = nil
	for _, name := range due {
		if t := q.topics[name]; t != nil {
			n := t.owed
			q.pay(name, t)
			q.wake(brought{Wake: Wake{Topic: name, N: n}})
		}
	}
	q.drain()
	fresh := q.fresh
	q.fresh = nil
	for _, w := range fresh {
		switch {
		case w.tried || q.byID[w.waitID] != w:
		case q.owed(w):
			q.fresh = append(q.fresh, w)
		default:
			q.launch(w, nil, false)
			q.drain()
		}
	}
}

// command adds a group that does not wait, with what its commands were sequenced to, and attempts of those whom it may
// wake.
func (q *waitQueue) command(g group, sequenced []Command) {
	q.groups = append(q.groups, group{origin: g.origin, id: g.id, cmds: sequenced})
	if !q.empty() {
		for i := range g.cmds {
			q.brings(g.cmds[i].Data, true, false)
		}
	}
	q.drain()
}

// brings notes what a command may bring.
func (q *waitQueue) brings(cmd []byte, sure, maybe bool) {
	wakes, all := q.rules.Wakes(cmd, q.wakes[:0])
	q.wakes = wakes[:0]
	if all {
		q.wakeAll()
		return
	}
	for _, w := range wakes {
		w.Sure = w.Sure && sure
		q.wake(brought{Wake: w, maybe: maybe})
	}
}

func (q *waitQueue) wake(w brought) {
	if t := q.topics[w.Topic]; t != nil && w.N > 0 {
		q.work = append(q.work, w)
	}
}

// wakeAll tries everyone in the order of arrival, in one attempt for all topics of each.
func (q *waitQueue) wakeAll() {
	byArrival := func(a, b *waiter) int { return cmp.Compare(a.number, b.number) }
	for _, w := range slices.SortedFunc(maps.Values(q.byID), byArrival) {
		switch {
		case w.flying || q.absent(w.link):
			for _, name := range w.wants.Topics {
				q.owe(name, Unlimited)
			}
		case len(q.launched) >= q.room:
			q.retry(w)
		default:
			q.launchAll(w)
		}
	}
}

// drain serves what has been brought, and what those who are served bring in turn.
func (q *waitQueue) drain() {
	for len(q.work) > 0 {
		w := q.work[0]
		q.work = q.work[1:]
		if t := q.topics[w.Topic]; t != nil {
			q.serve(t, w)
		}
	}
	q.work = nil
}

// serve makes attempts of the first in a queue until what was brought must be used up.
func (q *waitQueue) serve(t *waitTopic, k brought) {
	passed := false
	for e := t.queue.Front(); e != nil && k.N > 0; e = e.Next() {
		w := e.Value.(*waiter)
		switch {
		case w.flying && w.sure, q.absent(w.link):
			passed = true
			continue
		case w.flying:
			if !k.maybe {
				q.owe(k.Topic, k.N)
			}
			return
		case len(q.launched) >= q.room:
			q.retry(w)
		case !w.tried:
			q.launch(w, nil, false)
		default:
			q.launch(w, []string{k.Topic}, k.Sure)
		}
		if k.N != Unlimited {
			k.N -= min(w.wants.Takes, k.N)
		}
	}
	if k.N > 0 && passed && !k.maybe {
		q.owe(k.Topic, k.N)
	}
}

// launch puts an attempt into the entry: with topics nil, the command as it came.
func (q *waitQueue) launch(w *waiter, topics []string, sure bool) {
	q.put(w, q.rules.Attempt(q.stamp, w.cmd, topics), sure)
}

// launchAll tries w for all its topics.
func (q *waitQueue) launchAll(w *waiter) {
	if w.tried {
		q.launch(w, w.wants.Topics, false)
	} else {
		q.launch(w, nil, false)
	}
}

func (q *waitQueue) put(w *waiter, data []byte, sure bool) {
	w.first, w.tried, w.flying, w.sure = !w.tried, true, true, sure
	q.launched = append(q.launched, w)
	q.groups = append(q.groups, group{origin: w.origin, id: w.id | idWaits, cmds: []Command{{Data: data}}})
	q.brings(w.cmd, sure, !sure)
}

// arrive takes a new waiter. data is its first attempt.
func (q *waitQueue) arrive(id waitID, cmd, data []byte, link *waitLink) {
	if _, ended := q.early[id]; ended {
		q.met = append(q.met, id) // kept until the entry was proposed: if it was not, this one comes again
		return
	}
	if q.byID[id] != nil {
		return
	}
	q.number++
	w := &waiter{waitID: id, cmd: cmd, wants: q.rules.Wants(cmd), number: q.number, link: link}
	if link != nil {
		w.cmd = append([]byte(nil), cmd...) // cmd is a part of something larger
		q.bytes.Add(int64(len(w.cmd)))
	}
	q.byID[id] = w
	for _, name := range w.wants.Topics {
		t := q.topics[name]
		if t == nil {
			t = new(waitTopic)
			q.topics[name] = t
		}
		w.places = append(w.places, t.queue.PushBack(w))
	}
	q.arrived = append(q.arrived, w)
	if q.owed(w) {
		q.fresh = append(q.fresh, w)
		return
	}
	q.put(w, data, false)
	q.drain()
}

// owed reports whether something is owed to one of w's topics, which is for those who came before w.
func (q *waitQueue) owed(w *waiter) bool {
	for _, name := range w.wants.Topics {
		if q.topics[name].owed > 0 {
			return true
		}
	}
	return false
}

// end forgets a waiter that nobody waits for any more. One of another node may come later than its end.
func (q *waitQueue) end(id waitID, remote bool) {
	w := q.byID[id]
	switch {
	case w == nil && remote:
		q.early[id] = struct{}{}
	case w == nil:
	case w.flying:
		w.ended = true
	default:
		q.remove(w)
	}
}

// leave forgets the waiters of a node that is gone.
func (q *waitQueue) leave(link *waitLink) {
	for id := range q.early {
		if id.origin == link.origin {
			delete(q.early, id)
		}
	}
	for _, w := range q.byID {
		if w.link != link {
			continue
		}
		if w.flying {
			w.ended = true
		} else {
			q.remove(w)
		}
	}
}

// landed takes the outcome of an attempt that was applied. False: the outcome is lost, and whoever waits for this one
// must ask again.
func (q *waitQueue) landed(id waitID, reply Reply) bool {
	w := q.byID[id]
	if w == nil || !w.flying {
		return true
	}
	w.flying = false
	lost := reply.Err != nil
	served, failed := lost, lost
	if !lost {
		var answer []byte
		answer, served = q.rules.Answer(w.cmd, reply.Data)
		failed = served && len(answer) > 0 && answer[0] == '-'
	}
	if served && !failed && !w.sure {
		q.broughtBy(w)
	}
	for _, name := range w.wants.Topics {
		if failed {
			q.owe(name, 1) // what it was tried for may be still there
		}
		if t := q.topics[name]; t.owed > 0 {
			q.makeDue(name, t)
		}
	}
	if served || w.ended {
		q.remove(w)
	}
	return !lost
}

// broughtBy owes what an attempt of unknown outcome has brought. Some of it may have been taken already.
func (q *waitQueue) broughtBy(w *waiter) {
	wakes, _ := q.rules.Wakes(w.cmd, q.wakes[:0])
	q.wakes = wakes[:0]
	for _, k := range wakes {
		if t := q.topics[k.Topic]; t != nil {
			q.owe(k.Topic, k.N)
			q.makeDue(k.Topic, t)
		}
	}
}

// commit is called when the entry was proposed.
func (q *waitQueue) commit() {
	for _, id := range q.met {
		delete(q.early, id)
	}
	q.forget()
}

// forget ends the entry.
func (q *waitQueue) forget() {
	clear(q.launched)
	clear(q.arrived)
	q.launched, q.arrived, q.met, q.groups = q.launched[:0], q.arrived[:0], q.met[:0], nil
}

// rollback undoes what was put into an entry that was not proposed.
func (q *waitQueue) rollback() {
	for _, w := range q.launched {
		w.flying, w.tried = false, !w.first
		q.retry(w)
	}
	for _, w := range q.arrived {
		q.remove(w)
	}
	q.forget()
}

// tick tries again what is owed, for instance because nobody's node was there.
func (q *waitQueue) tick() {
	for name := range q.owing {
		q.makeDue(name, q.topics[name])
	}
}

// retry has w tried for all its topics by the next entry that has room.
func (q *waitQueue) retry(w *waiter) {
	if !w.again {
		w.again = true
		q.again = append(q.again, w)
	}
}

// tryAgain tries those whom retry was called for.
func (q *waitQueue) tryAgain() {
	for len(q.again) > 0 && len(q.launched) < q.room {
		w := q.again[0]
		q.again = q.again[1:]
		w.again = false
		if !w.flying && q.byID[w.waitID] == w {
			q.launchAll(w)
			q.drain()
		}
	}
}

func (q *waitQueue) owe(name string, n int) {
	t := q.topics[name]
	if t == nil {
		return
	}
	t.owed += min(n, Unlimited-t.owed)
	q.owing[name] = struct{}{}
}

func (q *waitQueue) pay(name string, t *waitTopic) {
	t.owed, t.due = 0, false
	delete(q.owing, name)
}

func (q *waitQueue) makeDue(name string, t *waitTopic) {
	if !t.due {
		t.due = true
		q.due = append(q.due, name)
	}
}

func (q *waitQueue) remove(w *waiter) {
	delete(q.byID, w.waitID)
	if len(q.byID) == 0 {
		q.due, q.fresh, q.again = nil, nil, nil
	}
	if w.link != nil {
		q.bytes.Add(-int64(len(w.cmd)))
	}
	for i, name := range w.wants.Topics {
		t := q.topics[name]
		t.queue.Remove(w.places[i])
		if t.queue.Len() == 0 {
			q.pay(name, t)
			delete(q.topics, name)
		}
	}
}
