// Package redis keeps one unmodified redis-server (or Valkey) in step with a replicated log.
//
// Backend implements raft.Store: committed entries are applied in order over one connection, as transactions that write
// the log position together with the data. It also offers what a proxy needs beside that: shared read connections,
// connections that watch keys, and the index of keys with deadlines.
//
// The position is the string key raft.state in a reserved database. Every transaction replaces it and gets the old value
// back, the key is watched between transactions, and it is read before a new connection is used: a writer that is not
// this process is noticed, and so is a backend that restarted empty or from an older dump.
//
// Consecutive SETs without options are sent as one MSET, which does the same (addSet).
//
// Redis never sees real deadlines, because it would expire keys by its own clock: what it stores is the deadline plus
// ShiftMillis. Keys disappear by items made with ExpireItem and EvictItem only, which travel through the log like any write.
//
// Replies are in RESP2, or in RESP3 where that is asked for: reads have a connection for each protocol, and a transaction
// changes the protocol for those of its commands whose reply somebody waits for.
//
// A snapshot is an RDB. To take one, Backend asks the server for it as a replica does: the server forks, goes on at once,
// and a child sends the state of that moment, the position included. To fill a server with one, Backend plays its master
// for one full synchronization. RDB is checked by the checksum at its end in both directions, because redis-server exits
// when it loads a damaged one. What an RDB does not carry is the script cache.
//
// A client that subscribes gets a connection of its own (Subscriber), which ends when what it heard could come again.
//
// Settings that entries make are kept as the hash raft.settings beside the position, and given to a server that has
// others. While keyspace notifications are on, they are switched off for what this package does by itself.
//
// For that, some settings of the server are changed, for a moment each: repl-diskless-sync, repl-diskless-sync-delay,
// repl-diskless-load, save, tls-replication. repl-backlog-ttl is set to 1 for good. The server must be able to connect to
// the address from which this node connects to it, at any port.
package redis
