package raft

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The errors of Propose, Wait and Read that callers decide by. They are always wrapped with the reason.
var (
	// ErrNotDone means that the commands were not executed and never will be: asking again is safe.
	ErrNotDone = errors.New("not executed")
	// ErrOutcomeUnknown means that the commands may or may not have been executed, or still be executed later.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrWaitEnded means that the context of Wait ended before the command was served. It was not executed and never
	// will be.
	ErrWaitEnded = errors.New("not served in time")
	// ErrStopped means that this node is stopping, was removed from the cluster, or has failed.
	ErrStopped = errors.New("node stopped")
	// ErrRemoved means that this node was removed from the cluster for good.
	ErrRemoved = errors.New("node was removed from the cluster")
	// ErrTooLarge means that the commands of one Propose call exceed Config.MaxProposalBytes. Nothing was executed.
	ErrTooLarge = errors.New("proposal too large")
)

// Unmarked is the text of an error without the words of a mark, such as the errors above, for messages that begin with them: callers
// wrap what is marked already with what they were about, so that they may stand anywhere.
func Unmarked(text string, mark error) string {
	words := mark.Error()
	text = strings.ReplaceAll(text, words+": ", "")
	if text == words {
		return ""
	}
	return strings.TrimSuffix(text, ": "+words)
}

// NoAnswerError is why a call ended that was given a limited time. It is a context.DeadlineExceeded that tells the limit
// instead: give it as the cause of a context, and it is what clients are told.
type NoAnswerError struct{ After time.Duration }

func (e *NoAnswerError) Error() string { return fmt.Sprintf("no answer within %v", e.After) }

// Is makes it a context.DeadlineExceeded.
func (e *NoAnswerError) Is(target error) bool { return target == context.DeadlineExceeded }
