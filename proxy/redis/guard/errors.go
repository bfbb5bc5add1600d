package guard

import "errors"

var (
	// ErrProtocol is returned by Read after a request that is not valid RESP,
	// once the reply that says so has been written. Match it with errors.Is.
	ErrProtocol = errors.New("guard: protocol error")

	// ErrCrossProtocol is returned by Read when the peer speaks HTTP: a
	// browser that was made to send commands by a hostile page.
	ErrCrossProtocol = errors.New("guard: possible cross protocol attack (POST or Host: command)")

	// ErrSlowClient is returned by Write when the client took no byte of a
	// reply for Limits.WriteTimeout. The connection has been closed.
	ErrSlowClient = errors.New("guard: client does not read its replies")

	// ErrDisconnected is the cause of a context from WatchDisconnect that
	// ended because the client went away.
	ErrDisconnected = errors.New("guard: client disconnected")
)

// The texts of redis-server 7.0, networking.c.
const (
	problemMultibulk       = "invalid multibulk length"
	problemMultibulkUnauth = "unauthenticated multibulk length"
	problemMultibulkLine   = "too big mbulk count string"
	problemBulk            = "invalid bulk length"
	problemBulkUnauth      = "unauthenticated bulk length"
	problemBulkLine        = "too big bulk count string"
	problemInline          = "too big inline request"
	problemQuotes          = "unbalanced quotes in request"
)
