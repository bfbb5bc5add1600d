package raft

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// flush sends bytes of f to its disk and waits for them, without making the file durable, for which f.Sync is still
// needed. It commits nothing to the journal of the file system, unlike f.Sync, so the syncs of a log beside it wait for
// these bytes at most.
func flush(f *os.File, offset, n int64) error {
	const flags = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	err := unix.SyncFileRange(int(f.Fd()), offset, n, flags)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return f.Sync() // not every file system and kernel has it
	case err != nil:
		return fmt.Errorf("flush %s: %w", f.Name(), err)
	}
	return nil
}
