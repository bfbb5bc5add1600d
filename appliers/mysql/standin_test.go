package mysql

import (
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// What a node has made for one call is in no snapshot, with no right to it, and goes when the server is there again that it was made on.
func TestStandIn(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, "CREATE DATABASE `дом`"), schema(2, "CREATE USER app@'%'"), schema(2, "CREATE ROLE `the clerk`"),
		schema(2, "CREATE PROCEDURE bank.p() SELECT 1"), schema(2, "GRANT EXECUTE ON PROCEDURE bank.p TO app@'%'"), schema(2, "GRANT EXECUTE ON PROCEDURE bank.p TO `the clerk`")))
	p := &Procedure{Database: "bank", Name: "p", Definer: "app@%", Collation: "utf8mb4_general_ci"}
	ctx := within(t, 120*time.Second)
	name := NewStandInName()
	check(t, m.MakeStandIn(ctx, p, name, "SELECT 2"))
	const rights = "SELECT user, host FROM mysql.procs_priv WHERE routine_name LIKE 'nexus%' ORDER BY 1"
	if got := m.query(t, rights); got != "app,%;the clerk," {
		t.Errorf("it may be called by %s", got)
	}
	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(ctx, other.id, takeSnapshot(t, m, raft.Position{Term: 2, Index: 2})))
	if got := other.query(t, rights); got != "" {
		t.Errorf("in a snapshot are rights of %s", got)
	}
	if got := other.query(t, "SELECT COUNT(*) FROM mysql.procs_priv WHERE routine_name='p'"); got != "2" {
		t.Errorf("%s rights on the procedure itself are in a snapshot", got)
	}

	check(t, m.Kill())
	if err := m.DropProcedure(ctx, p.Database, name); err == nil {
		t.Error("dropped on a server that is not there")
	}
	check(t, m.StartReady(ctx))
	m.drop()
	_, err := m.Position(ctx)
	check(t, err)
	if got := m.query(t, "SELECT routine_name FROM information_schema.routines WHERE routine_schema='bank'") + " " + m.query(t, rights); got != "p " {
		t.Errorf("left is %s", got)
	}

	// Nor does one outlive the process, whatever letters its database has.
	elsewhere := *p
	elsewhere.Database = "дом"
	check(t, m.MakeStandIn(ctx, &elsewhere, name, "SELECT 2"))
	check(t, m.DropProcedure(ctx, elsewhere.Database, name))
	const all = "SELECT COUNT(*) FROM information_schema.routines WHERE routine_name LIKE 'nexus%'"
	if got := m.query(t, all); got != "0" {
		t.Errorf("%s are left", got)
	}
	check(t, m.MakeStandIn(ctx, &elsewhere, name, "SELECT 2"))
	check(t, m.MakeStandIn(ctx, p, NewStandInName(), "SELECT 2"))
	_, err = m.Open(ctx, m.id)
	check(t, err)
	if got := m.query(t, "SELECT routine_name FROM information_schema.routines WHERE routine_schema='bank'") + " " + m.query(t, rights); got != "p " {
		t.Errorf("left is %s", got)
	}

	if got := m.query(t, all); got != "0" {
		t.Errorf("%s are left", got)
	}

	// One that cannot be made leaves nothing.
	m.exec(t, "INSERT INTO mysql.procs_priv (Host, Db, User, Routine_name, Routine_type, Proc_priv) VALUES ('%', 'bank', 'nobody', 'p', 'PROCEDURE', 'Execute')")
	if err := m.MakeStandIn(ctx, p, NewStandInName(), "SELECT 2"); err == nil {
		t.Error("one was made with rights for nobody")
	}
	if got := m.query(t, "SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema='bank'") + " " + m.query(t, rights); got != "1 " {
		t.Errorf("left is %s", got)
	}
}
