// Package redis is the listener that Redis clients talk to: it turns their commands into replicated writes and
// linearizable reads, and the backend's replies into theirs.
//
// It exists so that a client cannot tell a cluster from a single Redis, except where a single Redis would lie: an
// acknowledged write is on a quorum, a read is never stale, and what cannot be known is answered with an error that
// says so.
//
//   - server.go accepts (redcon behind the guard) and drains; session.go is the state of one client.
//   - batch.go cuts a pipeline into phases: writes that are proposed together (writes.go), reads that share one barrier
//     (reads.go), and what the proxy answers itself (local.go, auth.go, client.go, info.go, configget.go).
//   - transaction.go queues MULTI and makes EXEC one item of the log; watch.go has the backend watch keys until then.
//   - pubsub.go and subscription.go subscribe clients; relay.go copies what the backend sends to them, cut by frames.go.
//   - tracking.go, tracked.go, tracker.go, trackerproof.go, trackingtable.go, trackingruns.go and trackingorder.go tell clients which of the
//     keys that they have read have changed.
//   - choice.go has members chosen before SPOP is proposed.
//   - monitor.go, clientkill.go, clientpause.go and clientreply.go are about the connections of this node.
//   - configset.go, slowlog.go, inspect.go and nexus.go are what a node tells about itself, and lets be set.
//   - sequencer.go and expirer.go run on the leader: they turn times into deadlines and deadlines into deletions.
//     touched.go decides there whether a transaction still finds its watched keys as its client saw them.
//   - reaper.go closes clients that do not log in, or that are idle.
//   - clock.go bounds each phase in time; metrics.go and commandstats.go count.
//   - lua.go runs statements of the operator on every node; clients cannot reach it.
//   - errors.go is the only place where an error becomes a reply.
//
// What this package must never do: answer a write before Propose returned, answer from a backend without a barrier
// (Static commands excepted), or give an outcome that is not known an error that clients take for "not executed" and
// retry by themselves.
//
// A reply travels as the bytes the backend sent. The phases of a pipeline follow each other strictly, so that a client
// reads what it wrote, in the order it asked. Each session is one goroutine, that of its connection.
// A client that is subscribed, or in MONITOR, has another one that sends to it, between the replies.
package redis
