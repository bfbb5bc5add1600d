// Package redis keeps one unmodified redis-server (or Valkey) in step with a replicated log.
//
// Backend implements raft.Store: committed entries are applied in order over one connection, as transactions that write
// the log position together with the data. It also offers what a proxy needs beside that: shared read connections, and
// the index of keys with deadlines.
//
// The position is the string key raft.state in a reserved database. Every transaction replaces it and gets the old value
// back, the key is watched between transactions, and it is read before a new connection is used: a writer that is not
// this process is noticed, and so is a backend that restarted empty or from an older dump.
//
// Redis never sees real deadlines, because it would expire keys by its own clock: what it stores is the deadline plus
// ShiftMillis. Keys disappear by items made with ExpireItem only, which travel through the log like any write.
package redis
