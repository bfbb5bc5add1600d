package faults

import (
	"errors"
	"net"
	"strings"

	"github.com/go-redis/redis/v8"
)

// outcome of an operation as its client knows it, by what docs/guarantees.md says of the errors.
type outcome int

const (
	answered outcome = iota
	notDone          // certainly not executed, now or later
	executed         // certainly executed, but the reply is lost
	unknown          // executed, or not, or still to be
	wrong            // an error that no client should see here
)

func judge(err error) outcome {
	var reply redis.Error
	var op *net.OpError
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return answered
	case errors.As(err, &op) && op.Op == "dial":
		return notDone
	case !errors.As(err, &reply):
		return unknown // of the connection, or of the client's own patience
	}
	switch text := reply.Error(); {
	case strings.Contains(text, "context "): // the words of a program's inside are no reason
		return wrong
	case strings.HasPrefix(text, "TRYAGAIN nexus: "), strings.HasPrefix(text, "EXECABORT "):
		return notDone
	case strings.HasPrefix(text, "UNKNOWNOUTCOME nexus: the command was executed, but its reply was lost: "):
		return executed
	case strings.HasPrefix(text, "UNKNOWNOUTCOME nexus: the command may or may not have been executed: "):
		return unknown
	}
	return wrong
}
