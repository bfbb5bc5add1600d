package admin

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

func TestServerVerify(t *testing.T) {
	node := newFakeNode()
	_, conn := startServer(t, node, &fakeStore{})
	c, ctx := nexuspb.NewNexusClient(conn), testContext(t)
	r, err := c.Verify(ctx, &nexuspb.VerifyRequest{})
	if err != nil || r.GetEqual() || r.GetIndex() != 11 || len(r.GetMembers()) != 3 {
		t.Fatalf("%v %v", r, err)
	}
	d := r.GetMembers()[0].GetDifferences()
	if len(d) != 1 || d[0].GetPart() != "db0" || d[0].GetItems() != 2 || !d[0].GetAtLeast() {
		t.Errorf("differences %v", d)
	}
	if _, err := c.Repair(ctx, &nexuspb.RepairRequest{}); err != nil {
		t.Error(err)
	}
	node.fail(fmt.Errorf("%w: this node was not found to differ", raft.ErrRefused))
	if _, err := c.Repair(ctx, &nexuspb.RepairRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
	if _, err := c.Verify(ctx, &nexuspb.VerifyRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}
