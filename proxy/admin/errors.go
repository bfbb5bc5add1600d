package admin

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/raft"
)

// ErrorDomain marks the errors that a node gave, as opposed to those of the connection to it.
const ErrorDomain = "nexus"

// refusal is implemented by errors of a Datastore that tell the caller about its statement.
type refusal interface {
	error
	// InvalidArgument is true if the request itself is wrong.
	InvalidArgument() bool
}

// statusError turns err into a gRPC error. What nobody knows to be "not done" is unknown.
func statusError(err error) error {
	if err == nil {
		return nil
	}
	var r refusal
	switch {
	case errors.As(err, &r) && r.InvalidArgument():
		return newStatus(codes.InvalidArgument, "INVALID", err.Error())
	case errors.As(err, &r):
		return newStatus(codes.FailedPrecondition, "REFUSED", err.Error())
	case errors.Is(err, raft.ErrOutcomeUnknown):
		return outcomeUnknown(err)
	case errors.Is(err, raft.ErrReplyLost):
		return newStatus(codes.Unknown, "REPLY_LOST", err.Error())
	case errors.Is(err, raft.ErrTooLarge):
		return newStatus(codes.InvalidArgument, "INVALID", err.Error())
	case errors.Is(err, raft.ErrNotDone):
		return newStatus(codes.Unavailable, "NOT_DONE", err.Error())
	case errors.Is(err, raft.ErrRefused):
		return newStatus(codes.FailedPrecondition, "REFUSED", err.Error())
	case errors.Is(err, raft.ErrRemoved), errors.Is(err, raft.ErrStopped):
		return newStatus(codes.FailedPrecondition, "STOPPED", err.Error())
	}
	return outcomeUnknown(err)
}

// outcomeUnknown begins with the words that callers look for, wherever they are in err.
func outcomeUnknown(err error) error {
	why := raft.Unmarked(raft.Unmarked(err.Error(), raft.ErrNotDone), raft.ErrOutcomeUnknown)
	if why == "" {
		why = "it may or may not have been done"
	}
	return newStatus(codes.Unknown, "OUTCOME_UNKNOWN", raft.ErrOutcomeUnknown.Error()+": "+why)
}

// readError is statusError for what changes nothing, where failed is as good as not done.
func readError(err error) error {
	var r refusal
	if err == nil || errors.As(err, &r) || errors.Is(err, raft.ErrTooLarge) {
		return statusError(err)
	}
	why := raft.Unmarked(err.Error(), raft.ErrOutcomeUnknown) // of what had to be done before the read
	if errors.Is(err, context.DeadlineExceeded) {
		return newStatus(codes.DeadlineExceeded, "NOT_DONE", why)
	}
	return newStatus(codes.Unavailable, "NOT_DONE", why)
}

// memberError is statusError for changes of membership and leadership, which may be asked for again whatever became of
// them: the second time they go on where they stopped, or find nothing to do.
func memberError(err error) error {
	for _, known := range []error{raft.ErrRefused, raft.ErrOutcomeUnknown, raft.ErrRemoved, raft.ErrStopped} {
		if errors.Is(err, known) {
			return statusError(err)
		}
	}
	return newStatus(codes.Unavailable, "NOT_DONE", err.Error())
}

func invalid(text string) error {
	return newStatus(codes.InvalidArgument, "INVALID", text)
}

func newStatus(code codes.Code, reason, text string) error {
	text = strings.ReplaceAll(text, context.DeadlineExceeded.Error(), "no answer in time")
	text = sendable(strings.Join(strings.Fields(text), " "))
	st := status.New(code, text)
	detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: ErrorDomain})
	if err != nil {
		return st.Err()
	}
	return detailed.Err()
}
