package raft

import (
	"math"
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
