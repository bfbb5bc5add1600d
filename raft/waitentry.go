package raft

import (
	"cmp"
	"maps"
	"slices"
)

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

// wakeAll tries everyone in order, in one attempt for all topics of each.
func (q *waitQueue) wakeAll() {
	inOrder := func(a, b *waiter) int { return cmp.Compare(a.number, b.number) }
	for _, w := range slices.SortedFunc(maps.Values(q.byID), inOrder) {
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
