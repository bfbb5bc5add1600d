// Package mysql has the tests in which unmodified MySQL clients and applications work through a cluster.
//
// Each client library has a small program here, written as its users would. With the argument "features" it makes a table
// in the database NEXUS_DATABASE of the node at NEXUS_HOST and NEXUS_PORT, by the means of the library, works with it, and
// prints what it sees as lines of name=value, the same for all: see expectation in clients_test.go. With "work" it does
// units 1 to NEXUS_COUNT: each is a transaction that inserts its number into the table work and adds one to a row of
// tally. When one fails it connects to the next of NEXUS_ADDRESSES, looks whether the number is there, and does the unit
// again if not; "done N" tells that it was acknowledged or found. Leaders are killed and changed meanwhile.
package mysql
