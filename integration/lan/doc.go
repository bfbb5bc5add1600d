// Package lan is a network of its own for the nodes of a test cluster, in which packets are lost, late, repeated and out
// of order, so that connections stall as they do in a bad network, where integration/network can only hold bytes back.
//
// Each node runs in a network namespace with one device, a TUN, whose other end is here: a switch in this process that
// passes IP packets on by rules for each direction of each pair. This process has a device as well, through which clients
// reach the nodes. The kernel's own TCP does the rest: it sends again, backs off, and gives up when it does.
//
// It takes root, and Linux. Nothing is left when this process ends, however it ends: the namespaces and devices have no
// names outside of it, and go with the files that it has open.
package lan
