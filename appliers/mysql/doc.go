// Package mysql applies the log of package raft to one MariaDB server.
//
// Backend is a raft.Store. What the log carries are row images: a transaction executes for real on the leader's server,
// inside of XA; when it is prepared, its row events stand in that server's binary log, from where they are captured and
// proposed. Every server thus holds what the leader's statements did, whatever they called by chance or by the clock.
//
//	session   XA START .. statements .. INSERT INTO nexus.applied; XA END; XA PREPARE
//	capture   row events of the prepared transaction, out of the binary log
//	raft      one command: epoch, sequence number, events
//	Apply     leader: XA COMMIT of what waits prepared    others: BINLOG '...' in a transaction with the position
//
// # What holds at every crash
//
// Each transaction inserts its own id into nexus.applied: the marker is one of the rows. On the leader the position, in
// nexus.position, follows the commits with a delay, so it may be too old but never too new; what is applied again then is
// recognised by its marker. Where rows come as BINLOG the position is written in the same transaction, and moved first, from
// what it was to what it will be: that says as much, and the markers are left out. They are written only where an entry goes
// on behind the rows, so that the position cannot stand with them. Prepared transactions that a crash left are rolled back
// when the backend is opened: those that the log holds come back with it.
//
// # Epochs
//
// A transaction saw the state of one leader in one term, its epoch. Its command counts only in an entry of that very
// term; in any other it is passed over, on all members alike. So a proposal that is offered again to a later leader, whose
// clients may have changed the same rows meanwhile, does nothing and says so. Before the first entry of a term is
// applied, all transactions of earlier epochs that this server still holds open are ended: the locks they hold would keep
// the log from being applied, and they cannot commit any more.
//
// # Schema changes
//
// A server commits DDL by itself. The place in the binary log from which on it will stand is recorded before, and that it
// was done after; what was begun when a crash came is looked for there. A result that depends on the data ("table
// exists") is a result, the same on all members.
package mysql
