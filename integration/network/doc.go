// Package network stands between the nodes of a test cluster, as a switch and its cables do: each node dials the node
// URLs of the others, where a Network listens and passes the bytes on to where that node really listens.
//
// The way from each node to each other one has rules of its own: it can be cut, slowed down and cut off for connections,
// in one direction and not in the other. One connection carries both directions, whoever made it.
//
// It needs no privileges and no help from the nodes: which node has dialed is asked of the system (Linux only).
package network
