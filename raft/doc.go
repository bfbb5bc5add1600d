// Package raft replicates commands onto any Store, with the guarantees of etcd: a command that was answered is on the
// disks of a majority and survives whatever happens to the rest, and a read never returns anything older than the last
// answered write.
//
// It is a library. Implement Store for your backend, give each member a Config and call
//
//	r, err := raft.New(cfg)
//	err = r.Start(ctx)
//	outcome, err := r.Propose(ctx, commands) // on any member
//	err = r.Read(ctx, func(ctx context.Context) error { ... look at the local backend ... })
//	err = r.Stop(ctx)
//
// ExampleReplicator is a whole program. What a command is, only the Store knows.
//
// # The path of a command
//
//	Propose -> mailbox -> loop -> log (one fsync for all that waited) -> majority -> apply loop -> Store -> Propose
//	              \-> the leader's loop, over HTTP, on a follower
//
// Whatever has come while the loop was busy becomes one entry, so batches grow with the load and cost no delay without
// it. The loop owns the state machine of etcd/raft and the log and waits for nothing but the disk; the apply loop owns the
// Store and reads committed entries from the log by position. Because of that, a backend that lost data, at start or
// later, is simply fed again from where it is.
//
// # What holds at every crash
//
// A Store keeps the position of the last applied entry together with the data, atomically. Nothing else remembers what
// was applied, so nothing can disagree with it.
//
// A proposal is offered to one leader in one term. When an entry of a later term is applied before it, it can no longer
// be committed anywhere, because the terms of a log never decrease: Propose then offers it again, and only when it knows
// this. So commands survive a change of leader without being executed twice, and ErrOutcomeUnknown is left for calls
// that ran out of time in between.
//
// # Reads
//
// A round of ReadIndex asks a majority whether the leader still is one; all readers that wait share it, and the local
// backend then answers when it has applied what the leader had committed. With Config.LeaseReads the leader answers for
// as long as the last such round promises that no other leader can exist, and looks again after the backend answered.
// See lease for what it rests on.
//
// # Snapshots
//
// The log would grow for ever. After so many entries (Config.SnapshotCount, Config.SnapshotBytes) each member asks its
// Store for the state at the last applied position, as a stream; writes it to disk with a checksum while entries go on
// being applied; and lets its log begin there. Nothing of it is held in memory. A member that needs what the log no
// longer has gets the leader's newest snapshot, as a stream that is verified before anything believes it; a backend that
// holds less than the log reaches back to is filled from its own node's newest. Restore of a Store need not be atomic: a
// file in the data directory says that it has begun, and a node that finds it there restores again before it asks its
// backend for anything.
//
// Replicator.Backup writes such a snapshot to a file that RestoreBackup begins a new cluster with. ForceSingleMember is
// for the day when a majority is lost for good.
//
// # What it must never do
//
// Look into commands; let a clock, chance or configuration decide what an entry does; answer without being sure.
package raft
