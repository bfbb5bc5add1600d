// Package script makes the scripts and functions of clients do the same on every replica.
//
// A backend runs none of them as it is. What a client sends becomes a call of a function of the Library, Lua code that is
// kept on every backend as a library of functions: it compiles the script, hides from it what differs between servers
// (clocks, chance, addresses, the order of hash tables), turns its expiry times into deadlines of the log, bounds its
// steps, and runs it. The Library travels through the log itself, once, under a name made from its text; so replicas of
// different versions of this program run the same code for the same entry, and a snapshot carries it as any library.
//
// Everything that a script needs from the leader, its clock and its chance, stands at the end of the arguments of the
// call: what to run, the database, the time in milliseconds, the seed. The last two are added when the call is put into
// the log (Stamp).
//
// The bodies of scripts and the code of the clients' own libraries are data: hashes in the reserved database, written by
// the Library in the transaction of the entry, and so part of every snapshot. What is compiled is only a cache of them.
//
// Names, SHA1s and error texts are those that the client knows: see Reply.
package script
