// Package policy decides what becomes of a Redis command: whether the proxy
// answers it, a backend reads it, the cluster replicates it, or nobody runs it.
//
// It exists because replicas stay equal only if every entry of the log does
// the same thing on each of them, and because a client must still see the
// replies, the errors and the TTLs of a single Redis. Both depend on the exact
// form of a command: SORT reads, SORT ... STORE writes, SORT ... BY ... STORE
// writes something else on every node.
//
// The pieces, in the order a command meets them:
//
//   - table.go has one row per leaf command of Redis 7.0.15: arity, positions
//     of the keys, policy, and the reason for a refusal.
//   - Table.Lookup finds the row, makes the checks that Redis makes when it
//     queues a command (so that a transaction on a backend can never end in
//     EXECABORT because of a client), and asks the resolver of the command for
//     the policy of this form of it.
//   - Spec.AppendKeys names the keys, or admits that it cannot.
//   - RewriteTime turns every expiry into an absolute deadline by the leader's
//     clock, shifted by Shift so that no backend ever expires a key by its own
//     clock; ReadTimeCommand and TTLReply undo that for the client.
//   - script.go and lua/ have what stands in the log where Redis has no command
//     that does the same on every backend: for IDs and deliveries by the clock
//     (stream.go, group.go), for members by chance (spop.go), for an order that
//     Redis leaves open (sortopts.go). delivery.go converts what reads tell of
//     deliveries.
//   - ParseConfigSet tells which settings clients may change, and whose they are.
//   - MovesDeadline tells which writes carry a deadline to another key, for
//     the index of deadlines that every node keeps.
//
// What this package must never do: guess. A command or a form of one that
// cannot be shown to be a read or a deterministic write is refused. It reads
// no clock, holds no state and changes no argument in place: all of it is pure
// functions of what it is given.
//
// Redis compares options as C strings, which end at the first NUL byte: it
// takes "EX\x00..." for EX. The parsers here do the same; anything else would
// let a client smuggle an expiry or a STORE past them.
package policy
