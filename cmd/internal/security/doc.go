// Package security has the settings of a node that say who may reach it, and checks them together: a node that listens
// beyond its machine without knowing who comes is refused, unless its operator consents.
//
// It is for the programs that run a node. What it makes of the settings are the standard types that the packages with
// the listeners take.
package security
