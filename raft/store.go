package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Position is a place in the log.
type Position struct {
	Term  uint64
	Index uint64
}

// Identity says which member of which cluster a Store serves. Both ids are random, are never reused and never change
// for a data directory. A Store writes them beside its data and refuses data marked with others.
type Identity struct {
	Cluster uint64
	Node    uint64
}

// Snapshot is the state of a Store at a Position. Its bytes were checked against their checksum.
type Snapshot struct {
	Position
	// Origin says whose backend it was taken from: another member's, or one of the cluster whose backup it is.
	Origin Identity
	// Data holds Size bytes, the stream that Store.Snapshot returned, and stands at its beginning.
	Data io.ReadSeeker
	Size int64
	// Again is set where an earlier call of Restore with the same snapshot may have been cut off.
	Again bool
}

// Command is one unit of work, opaque to this package. The commands of one Propose call stand together and in order in
// one entry.
type Command struct {
	// Data is what the log carries. A Store must not modify or keep it.
	Data []byte
	// Wanted is true on the node whose Propose call waits for Reply. Elsewhere a Store may leave Reply nil.
	Wanted bool
	// Reply is set by Store.Apply; the Store gives up ownership of the bytes.
	Reply []byte
	// Err is set by Store.Apply to ErrReplyLost when the command was applied but what it answered is lost (the
	// connection to the backend broke at the wrong moment). No other error belongs here: an error that depends on
	// data is a Reply.
	Err error
}

// Entry is a committed log entry: a batch of commands from many sessions with the time at which the leader proposed it.
type Entry struct {
	Position
	// Stamp is the leader's wall clock in milliseconds since the epoch. It never runs backwards along the log, and is
	// the only time a Store may use.
	Stamp    int64
	Commands []Command
	// Pieces is how many places of the log before Index are the entry's too, because it is a large one: the entry
	// before it is at Index-Pieces-1.
	Pieces uint64
}

// Store is the state machine: one backend. All methods but Position are called from one goroutine.
//
// Apply must be a function of the entries and the state before them: no clock, no random, no configuration.
type Store interface {
	// Open connects to the backend, claims it for id (or finds it claimed by id) and returns the position it holds:
	// zero for a new one. It returns a *FatalError where retrying cannot help (the backend belongs to another
	// cluster or node, its version is too old).
	Open(ctx context.Context, id Identity) (Position, error)

	// Apply applies entries, which follow the last applied one without a gap but for Entry.Pieces, atomically with the position of the
	// last of them: after a crash at any moment the backend holds all of them and that position, or none and the
	// old one. Entries without commands only move the position.
	//
	// Errors: *BehindError if the backend turned out to hold another position than expected (restarted empty or
	// from an older dump): the caller applies again from there. *FatalError if going on would risk the data: the
	// node stops. Any other error means that nothing was applied because of the machine (connection, disk, memory,
	// LOADING): the caller stops serving and retries with the same entries.
	//
	// While nothing is committed, Apply is called with no entries at all a few times a second: the Store then makes
	// sure that the backend is there and holds what was applied to it, and answers with the same errors.
	Apply(ctx context.Context, entries []Entry) error

	// Position reads the position the backend holds now.
	Position(ctx context.Context) (Position, error)

	// Snapshot returns the state as of the last applied entry, as a stream in a form that Restore takes. It returns as
	// soon as that state is fixed, because nothing is applied meanwhile; another goroutine reads the stream to its end,
	// and closes it, while Apply goes on. ctx bounds the reading too. An error means that there is no snapshot now; the
	// caller tries again later, and soon if the error wraps ErrBusy: then there will be one when something else that the
	// backend does is done. A stream that breaks off must end with an error other than io.EOF, and may wrap ErrBusy too.
	Snapshot(ctx context.Context) (io.ReadCloser, error)

	// Restore replaces everything that the backend holds by snap, and claims it for id: when it returns nil, the backend
	// holds snap.Position, and Apply goes on from there. After an error, or a crash, the backend may hold anything: the
	// same snapshot is restored again before anything else is asked of the Store, also Open in another process (with
	// snap.Again set).
	//
	// Errors: *FatalError if the backend is not this node's to overwrite, or snap is damaged. Any other error is the
	// machine's: the caller tries again.
	Restore(ctx context.Context, id Identity, snap *Snapshot) error

	Close() error
}

// Sequencer is an optional hook that runs on the leader only, one call at a time, in the order of the log, on commands
// that are about to become one entry. It is the place for what must be decided once: rewriting relative to the stamp,
// choosing by chance, deleting what is due.
//
// It may replace Data of each command, and returns commands of its own to be put before them. With hold set, only
// those make up the entry, and cmds are presented again for the next one. It is not called before this leader has
// applied every entry of earlier terms. An entry may fail to be committed after Sequence saw it; its commands may then
// come back, as they were replaced, to this leader or another. See LogReader for one that looks at the log.
type Sequencer interface {
	Sequence(stamp int64, cmds []Command) (before []Command, hold bool)
}

// Observer may be implemented by a Sequencer that wants to see, on every member, what was applied.
type Observer interface {
	// Applied is called after entries were applied and before whoever waits for their outcome is told, by one
	// goroutine, which it must not hold up. It may get entries again, and must not keep them. Without entries, the
	// Store was restored from a snapshot: anything may have changed.
	Applied(entries []Entry)
}

// Busier is an optional hook of a Store whose single entries may take long to apply, and no longer elsewhere.
type Busier interface {
	// Busy reports that such an entry is being applied: a leader keeps its office meanwhile, unless entries pile up, or were left
	// to it and another member is through with them, no node takes the backend for one that hangs, and calls wait for longer than
	// Config.Timeout. Safe for concurrent use.
	Busy() bool
}

// Explainer is an optional hook of a Store whose entries may take long to apply.
type Explainer interface {
	// Executing tells people what is being applied, and since when; "" where it does not know. What is for everybody, and of may
	// have names that are the clients'. Safe for concurrent use.
	Executing() (what, of string, since time.Time)
}

// Doubter is an optional hook of a Store that may notice that its backend was changed otherwise than by Apply.
type Doubter interface {
	// Doubt returns why the backend may differ from those of the others, once for each reason, or nil. The node does not serve
	// from then on, until it is repaired. It is called after each Apply, by the same goroutine.
	Doubt() error
}

// BehindError says that the backend holds Position, which is not where the log was applied up to.
type BehindError struct {
	Position Position
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("backend holds term %d index %d, not what was applied to it last", e.Position.Term, e.Position.Index)
}

// FatalError stops the node: retrying cannot help, and going on would risk data.
type FatalError struct {
	Err error
}

func (e *FatalError) Error() string { return e.Err.Error() }
func (e *FatalError) Unwrap() error { return e.Err }

// ErrBusy says that nothing is wrong, and that what was asked for has to wait.
var ErrBusy = errors.New("busy")

// ErrReplyLost is set on a Command that was applied while its reply was lost.
var ErrReplyLost = errors.New("applied, but the reply was lost with the connection to the backend")
