//go:build !linux

package raft

import "os"

// flush sends what was written to f to its disk.
func flush(f *os.File, _, _ int64) error { return f.Sync() }
