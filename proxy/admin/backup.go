package admin

import (
	"bufio"
	"context"
	"fmt"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// backupChunk is what one message of a backup carries at most.
const backupChunk = 256 << 10

func (s *service) Snapshot(ctx context.Context, _ *nexuspb.SnapshotRequest) (*nexuspb.SnapshotResponse, error) {
	ctx, cancel := s.memberContext(ctx)
	defer cancel()
	if err := s.cfg.Node.Snapshot(ctx); err != nil {
		return nil, readError(err) // asking again does no harm
	}
	return &nexuspb.SnapshotResponse{Index: s.cfg.Node.Status().Snapshot}, nil
}

func (s *service) Backup(_ *nexuspb.BackupRequest, stream nexuspb.Nexus_BackupServer) error {
	out := bufio.NewWriterSize(&backupStream{stream}, backupChunk)
	info, err := s.cfg.Node.Backup(stream.Context(), out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return readError(err)
	}
	s.cfg.Logger.Info("backup", "index", info.Index, "bytes", info.Size)
	return nil
}

// backupStream sends what is written to it, in messages of a bounded size.
type backupStream struct{ stream nexuspb.Nexus_BackupServer }

func (b *backupStream) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		part := p[sent:min(sent+backupChunk, len(p))]
		if err := b.stream.Send(&nexuspb.BackupResponse{Data: part}); err != nil {
			return sent, fmt.Errorf("send a backup: %w", err)
		}
		sent += len(part)
	}
	return sent, nil
}
