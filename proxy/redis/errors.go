package redis

import (
	"context"
	"errors"
	"strings"

	"github.com/nexus-replication/nexus/raft"
)

// First words of error replies. Clients decide by them.
const (
	// wordNotDone is one on which clients may retry by themselves, and some do: only for what changed nothing.
	wordNotDone = "TRYAGAIN nexus: not executed: "
	// wordUnknown must not be one on which any client retries by itself (CLUSTERDOWN, TRYAGAIN, LOADING, READONLY,
	// MASTERDOWN): the command may have been executed.
	wordUnknown = "UNKNOWNOUTCOME nexus: the command may or may not have been executed: "
	wordLost    = "UNKNOWNOUTCOME nexus: the command was executed, but its reply was lost: "
	wordTooBig  = "ERR nexus: "
)

// Replies to what the proxy refuses by itself.
const (
	errTextNoAuth        = "NOAUTH Authentication required."
	errTextDB            = "ERR DB index is out of range"
	errTextNotInt        = "ERR value is not an integer or out of range"
	errTextSyntax        = "ERR syntax error"
	errTextAbort         = "EXECABORT Transaction discarded because of previous errors."
	errTextTooLarge      = "ERR transaction is too large"
	errTextEarlier       = wordNotDone + "an earlier command of the same pipeline failed"
	errTextMonitor       = "ERR Replica can't interact with the keyspace"
	errTextWatchTooLarge = "ERR too many watched keys"
	errTextNestedMulti   = "ERR MULTI calls can not be nested"
)

// maxReason bounds what an error reply says, in bytes.
const maxReason = 256

// writeErrorText is the reply to a command that Propose returned err for.
//
// What is not known to be "not executed" is unknown: also an error that nobody thought of.
func writeErrorText(err error) string {
	switch {
	case errors.Is(err, raft.ErrOutcomeUnknown):
		return wordUnknown + because(err)
	case errors.Is(err, raft.ErrTooLarge):
		return wordTooBig + reason(err)
	case errors.Is(err, raft.ErrNotDone), errors.Is(err, raft.ErrStopped), errors.Is(err, raft.ErrRemoved):
		return wordNotDone + because(err)
	}
	return wordUnknown + reason(err)
}

// readErrorText is the reply to a read that failed. A read changed nothing, so it may always be asked again.
func readErrorText(err error) string {
	return wordNotDone + because(err)
}

// lostReplyText is the reply to a command that was applied but whose reply is lost.
func lostReplyText(err error) string { return wordLost + reason(err) }

// because is the reason of err without what became of the command, which the reply begins with: it may have been said several
// times, and of something else that had to be done first.
func because(err error) string {
	if why := raft.Unmarked(raft.Unmarked(reason(err), raft.ErrNotDone), raft.ErrOutcomeUnknown); why != "" {
		return why
	}
	return "no reason is known"
}

// reason is err as one line that a client may see: bounded, printable, and without the paths of this machine
// and without the words of this program's language.
func reason(err error) string { return reasonOf(err, maxReason) }

// reasonOf is reason with another bound, in bytes.
func reasonOf(err error, most int) string {
	text := strings.ReplaceAll(err.Error(), context.DeadlineExceeded.Error(), "no answer in time")
	words := strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
	for i, w := range words {
		words[i] = hidePath(w)
	}
	s := strings.Join(words, " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// hidePath replaces an absolute path, which os errors carry, and keeps URLs.
func hidePath(word string) string {
	bare := strings.TrimLeft(word, `"'([`)
	if len(bare) < 2 || bare[0] != '/' {
		return word
	}
	if strings.HasSuffix(word, ":") {
		return "(path):"
	}
	return "(path)"
}
