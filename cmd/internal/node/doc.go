// Package node is what the programs that run a node share, whatever they replicate: the settings that every node has,
// its ports, the order of starting and stopping, and the work on a data directory while no node runs.
//
// A program describes itself by a Program and a Definition, and calls Main. What a package of this project does for one
// datastore only has no place here.
package node
