package admin

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

// What a backend executes at length is in the metrics, the status and on the page; names of clients' tables are in the status alone.
func TestExecutingIsTold(t *testing.T) {
	node := newFakeNode()
	h := NewHTTP(HTTPConfig{Node: node, Events: NewEvents(slog.DiscardHandler), Logger: slog.New(slog.DiscardHandler)}).http.Handler
	_, conn := startServer(t, node, &fakeStore{})
	const name = "\nnexus_backend_executing_seconds "
	if !strings.Contains(serve(h, "/metrics"), name+"0\n") {
		t.Error("the metrics tell of something before there is anything")
	}
	node.set(func(s *raft.Status) {
		s.Executing = &raft.Executing{What: "changes of rows (log entry 12)", Of: "wholesale.orders", For: 90500 * time.Millisecond}
	})
	if !strings.Contains(serve(h, "/metrics"), name+"90.5\n") {
		t.Error("the metrics do not tell for how long")
	}
	if page := serve(h, "/"); !strings.Contains(page, "ok; executing changes of rows (log entry 12) for 1m31s") || strings.Contains(page, "wholesale.orders") {
		t.Error("the page does not tell what, or too much")
	}
	st, err := nexuspb.NewNexusClient(conn).Status(testContext(t), &nexuspb.StatusRequest{})
	if e := st.GetExecuting(); err != nil || e.GetWhat() != "changes of rows (log entry 12)" || e.GetOf() != "wholesale.orders" || e.GetForMs() != 90500 {
		t.Errorf("the status has %v, %v", e, err)
	}
}
