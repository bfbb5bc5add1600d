package redis

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// ShiftMillis is added to every deadline before Redis gets to see it, so that Redis never expires a key by its own clock.
const ShiftMillis int64 = 1 << 40

// never stands for a key without a deadline.
const never int64 = math.MaxInt64

// DueKey is a key whose deadline, in milliseconds since the epoch, has come.
type DueKey struct {
	DB       int
	Key      string
	Deadline int64
}

// Deadlines is the index of keys with deadlines. It may hold keys that are gone, and deadlines that are too early; it
// never lacks a key with a deadline that was applied, and never holds one that is too late. All deadlines here are
// logical: without ShiftMillis. Safe for concurrent use.
type Deadlines struct {
	size atomic.Int64 // entries, to answer for an empty index without the lock
	gone atomic.Int64 // keys that were deleted because they were due

	mu     sync.RWMutex
	dbs    map[int]*deadlineDB
	heap   []*deadlineEntry // binary heap by due
	pended map[*deadlineEntry]struct{}
}

type deadlineDB struct {
	num  int
	keys map[string]*deadlineEntry
}

type deadlineEntry struct {
	db      *deadlineDB
	key     string
	due     int64   // the earliest of applied and pends
	applied int64   // by applied commands, or never
	pends   []int64 // of commands proposed and not yet applied
	at      int     // place in the heap
}

func newDeadlines() *Deadlines {
	return &Deadlines{dbs: make(map[int]*deadlineDB), pended: make(map[*deadlineEntry]struct{})}
}

// NextDue returns the earliest deadline of all, in milliseconds since the epoch; ok is false when there is none.
func (d *Deadlines) NextDue() (deadlineMillis int64, ok bool) {
	if d.size.Load() == 0 {
		return 0, false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0].due, true
}

// Due returns up to max keys whose deadline is now or earlier, earliest first. They stay in the index until an applied
// ExpireItem says that they are gone.
func (d *Deadlines) Due(now int64, max int) []DueKey {
	if d.size.Load() == 0 {
		return nil
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.heap) == 0 || d.heap[0].due > now {
		return nil
	}
	// The heap is walked from its top through a second, small heap of places to look at.
	var due []DueKey
	places := placeHeap{heap: d.heap}
	places.push(0)
	for len(places.at) > 0 && len(due) < max {
		i := places.pop()
		e := d.heap[i]
		if e.due > now {
			break
		}
		due = append(due, DueKey{DB: e.db.num, Key: e.key, Deadline: e.due})
		for child := 2*i + 1; child <= 2*i+2 && child < len(d.heap); child++ {
			places.push(child)
		}
	}
	return due
}

// Sample returns up to n keys that have a deadline, by chance; one may be there more than once.
func (d *Deadlines) Sample(n int) []DueKey {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.heap) == 0 {
		return nil
	}
	keys := make([]DueKey, 0, n)
	for range n {
		e := d.heap[rand.IntN(len(d.heap))]
		keys = append(keys, DueKey{DB: e.db.num, Key: e.key, Deadline: e.due})
	}
	return keys
}

// Deadline returns the deadline of key in milliseconds since the epoch; ok is false when it has none.
func (d *Deadlines) Deadline(db int, key []byte) (deadlineMillis int64, ok bool) {
	if d.size.Load() == 0 {
		return 0, false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	home := d.dbs[db]
	if home == nil {
		return 0, false
	}
	e := home.keys[string(key)]
	if e == nil {
		return 0, false
	}
	return e.due, true
}

// Pend notes that a command that gives key this deadline (milliseconds since the epoch, later than the stamp of its
// entry) is being proposed, so that the index covers what is not yet applied. It is to be called for the destination of
// RENAME, COPY and MOVE too, with the deadline of the source. The note is dropped when such a command is applied; if it
// never is, when the deadline has come and an ExpireItem of that time is applied.
func (d *Deadlines) Pend(db int, key string, deadlineMillis int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pend(db, key, deadlineMillis)
}

func (d *Deadlines) pend(db int, key string, deadline int64) {
	e := d.entry(db, key)
	e.pends = append(e.pends, deadline)
	d.pended[e] = struct{}{}
	d.fix(e)
}

// lower makes sure that key is not later than deadline.
func (d *Deadlines) lower(db int, key string, deadline int64) {
	e := d.entry(db, key)
	e.applied = min(e.applied, deadline)
	d.fix(e)
}

// put says that key, if it exists, has exactly this deadline.
func (d *Deadlines) put(db int, key string, deadline int64) {
	e := d.entry(db, key)
	e.applied = deadline
	d.fix(e)
}

// drop says that key has no deadline or does not exist.
func (d *Deadlines) drop(db int, key string) {
	if e := d.find(db, key); e != nil {
		e.applied = never
		d.fix(e)
	}
}

// release takes back one Pend of exactly this deadline.
func (d *Deadlines) release(db int, key string, deadline int64) {
	e := d.find(db, key)
	if e == nil {
		return
	}
	for i, p := range e.pends {
		if p == deadline {
			e.pends = append(e.pends[:i], e.pends[i+1:]...)
			d.fix(e)
			return
		}
	}
}

// releaseUntil takes back every Pend of key with a deadline up to now: what is proposed after an ExpireItem of that
// time gets later ones, what was proposed before it is either applied or never will be.
func (d *Deadlines) releaseUntil(db int, key string, now int64) {
	e := d.find(db, key)
	if e == nil || len(e.pends) == 0 {
		return
	}
	kept := e.pends[:0]
	for _, p := range e.pends {
		if p > now {
			kept = append(kept, p)
		}
	}
	e.pends = kept
	d.fix(e)
}

// appliedDeadline is the deadline of key by what was applied, or never.
func (d *Deadlines) appliedDeadline(db int, key string) int64 {
	if e := d.find(db, key); e != nil {
		return e.applied
	}
	return never
}

// clear forgets what was applied to one database; what is pending was proposed after the command that clears.
func (d *Deadlines) clear(db int) {
	d.clearIf(func(e *deadlineEntry) bool { return e.db.num == db })
}

func (d *Deadlines) clearAll() {
	d.clearIf(func(*deadlineEntry) bool { return true })
}

// clearIf rebuilds the heap once, instead of taking millions of entries out of it one by one.
func (d *Deadlines) clearIf(match func(*deadlineEntry) bool) {
	kept := d.heap[:0]
	for _, e := range d.heap {
		if match(e) {
			e.applied = never
			e.due = never
			for _, p := range e.pends {
				e.due = min(e.due, p)
			}
		}
		if e.due == never {
			delete(e.db.keys, e.key)
			continue
		}
		e.at = len(kept)
		kept = append(kept, e)
	}
	clear(d.heap[len(kept):])
	d.heap = kept
	d.size.Store(int64(len(kept)))
	for i := len(kept)/2 - 1; i >= 0; i-- {
		d.down(i)
	}
}

// swap exchanges two databases. What is pending was proposed after the swap and means the database by its new number:
// it is noted there too.
func (d *Deadlines) swap(a, b int) {
	if a == b {
		return
	}
	type note struct {
		db       int
		key      string
		deadline int64
	}
	var notes []note
	for e := range d.pended {
		if e.db.num != a && e.db.num != b {
			continue
		}
		for _, p := range e.pends {
			notes = append(notes, note{e.db.num, e.key, p})
		}
		e.pends = nil
		d.fix(e)
	}
	homeA, homeB := d.home(a), d.home(b)
	homeA.num, homeB.num = b, a
	d.dbs[a], d.dbs[b] = homeB, homeA
	for _, n := range notes {
		d.pend(n.db, n.key, n.deadline)
	}
}

// mix is what is left of swap when nobody knows whether it was executed: each key may be in either database.
func (d *Deadlines) mix(a, b int) {
	for _, pair := range [][2]int{{a, b}, {b, a}} {
		from := d.dbs[pair[0]]
		if from == nil {
			continue
		}
		for _, e := range from.keys {
			if e.applied != never {
				d.lower(pair[1], e.key, e.applied)
			}
		}
	}
}

func (d *Deadlines) home(db int) *deadlineDB {
	h := d.dbs[db]
	if h == nil {
		h = &deadlineDB{num: db, keys: make(map[string]*deadlineEntry)}
		d.dbs[db] = h
	}
	return h
}

func (d *Deadlines) find(db int, key string) *deadlineEntry {
	if h := d.dbs[db]; h != nil {
		return h.keys[key]
	}
	return nil
}

func (d *Deadlines) entry(db int, key string) *deadlineEntry {
	h := d.home(db)
	e := h.keys[key]
	if e == nil {
		e = &deadlineEntry{db: h, key: key, due: never, applied: never, at: len(d.heap)}
		h.keys[key] = e
		d.heap = append(d.heap, e)
		d.size.Add(1)
	}
	return e
}
