package raft

import (
	"container/list"
	"sync/atomic"
)

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
	number uint64          // in the order in which they are served
	places []*list.Element // in the queues of its topics
	link   *waitLink       // of its node; nil for this one
	// arrived compares with others of the same link only.
	arrived arrival

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

// insert gives w its place by its number.
func (t *waitTopic) insert(w *waiter) *list.Element {
	e := t.queue.Back()
	for e != nil && e.Value.(*waiter).number > w.number {
		e = e.Prev()
	}
	if e == nil {
		return t.queue.PushFront(w)
	}
	return t.queue.InsertAfter(w, e)
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
	number uint64    // of the last waiter
	recent []*waiter // the last to come, in order; some may be gone
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
	q.due, q.again, q.fresh, q.work, q.recent = nil, nil, nil, nil, nil
	q.commit()
}

func (q *waitQueue) empty() bool { return len(q.byID) == 0 }

// isDue reports whether the queue has something to put into an entry.
func (q *waitQueue) isDue() bool { return len(q.due)+len(q.again) > 0 }

// arrive takes a new waiter. data is its first attempt.
func (q *waitQueue) arrive(id waitID, cmd, data []byte, link *waitLink, arrived arrival) {
	if _, ended := q.early[id]; ended {
		q.met = append(q.met, id) // kept until the entry was proposed: if it was not, this one comes again
		return
	}
	if q.byID[id] != nil {
		return
	}
	w := &waiter{waitID: id, cmd: cmd, wants: q.rules.Wants(cmd), link: link, arrived: arrived}
	q.place(w)
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
		w.places = append(w.places, t.insert(w))
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
		q.due, q.fresh, q.again, q.recent = nil, nil, nil, nil
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
