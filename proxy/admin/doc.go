// Package admin is what an operator and a monitoring system see of a node: the gRPC service of nexuspb (with the
// standard health service and reflection) and the HTTP endpoints /metrics, /livez and /readyz.
//
// It exists beside the listeners for clients so that a node can be asked what is wrong while it does not serve.
//
// The codes of the gRPC errors can be decided by:
//
//	INVALID_ARGUMENT     the request is wrong; nothing was done
//	FAILED_PRECONDITION  refused, or executed and answered with an error of the datastore
//	UNAVAILABLE          not done, and never will be: asking again is safe
//	UNKNOWN              "outcome unknown: ...": it may or may not have been done, or be done later
//
// UNAVAILABLE is also what gRPC itself says of a connection that broke, when nothing is known. Errors of this package
// carry a google.rpc.ErrorInfo with the domain "nexus", which tells them apart.
//
// What this package must never do: change the state of a node other than through its Node and Datastore.
package admin
