// Package nexuspb is the wire format of the operator's interface, generated from nexus.proto by generate.sh.
package nexuspb

//go:generate ./generate.sh
