package mysql

import (
	"context"
	"errors"
	"io"

	"github.com/nexus-replication/nexus/raft"
)

// Snapshot is not there yet.
func (b *Backend) Snapshot(context.Context) (io.ReadCloser, error) {
	return nil, errors.New("snapshots of MariaDB are not there yet")
}

// Restore is not there yet.
func (b *Backend) Restore(context.Context, raft.Identity, *raft.Snapshot) error {
	return errors.New("snapshots of MariaDB are not there yet")
}
