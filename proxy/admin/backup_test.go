package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

func TestServerSnapshot(t *testing.T) {
	node := newFakeNode()
	_, conn := startServer(t, node, &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	if r, err := c.Snapshot(ctx, &nexuspb.SnapshotRequest{}); err != nil || r.GetIndex() != 11 {
		t.Errorf("%v %v", r, err)
	}
	node.fail(errors.New("disk full"))
	if _, err := c.Snapshot(ctx, &nexuspb.SnapshotRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestServerBackup(t *testing.T) {
	node := newFakeNode()
	node.backup = bytes.Repeat([]byte("0123456789"), 100_000)
	_, conn := startServer(t, node, &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	got, err := receiveBackup(ctx, c)
	if err != nil || !bytes.Equal(got, node.backup) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	node.fail(errors.New("connection to the backend lost"))
	if _, err := receiveBackup(ctx, c); status.Code(err) != codes.Unavailable {
		t.Errorf("a backup that broke off ended with %v", err)
	}
}

func receiveBackup(ctx context.Context, c nexuspb.NexusClient) ([]byte, error) {
	stream, err := c.Backup(ctx, &nexuspb.BackupRequest{})
	if err != nil {
		return nil, err
	}
	var got []byte
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, r.GetData()...)
	}
}
