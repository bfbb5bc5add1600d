// Package mysql serves clients in the MySQL protocol.
//
// On the leader each client has a connection to the local server of its own, over which its handshake and its commands
// pass; rows come back untouched. What a command is says its text, see package statement: reads wait for a proof of
// leadership and run as they are, in a session that is READ ONLY; a transaction that writes runs inside of XA, and its
// COMMIT is
//
//	INSERT INTO nexus.applied; XA END; XA PREPARE   the rows are in the binary log
//	Backend.Captured                                and come from there
//	Node.Propose                                    committed by a majority, and XA COMMIT said by the applier
//
// On a follower the whole connection is relayed to the leader. When the leadership moves, connections are closed.
//
// A session outside of XA is READ ONLY: what was taken for a read and writes after all, through a function or a trigger,
// fails there and is executed again as a write. Nothing reaches a table without the log.
package mysql
