package mysql

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

const unreadableView = "VIEW bank.unreadable AS WITH `a``b` AS (SELECT 1 AS x) SELECT * FROM `a``b`"

// A view that the server cannot read back is told of before it is made, and a snapshot does without one that is there.
func TestUnreadableView(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts), schema(2, "CREATE VIEW bank.readable AS WITH c AS (SELECT 1 AS x) SELECT * FROM c")))
	try := func(text string) error {
		return m.TryView(within(t, 30*time.Second), []string{"USE bank", "SET SESSION sql_mode='ANSI_QUOTES'"}, func(other string) string {
			return strings.Replace(text, "VIEW bank.unreadable", "CREATE VIEW "+other, 1)
		})
	}
	var unreadable *UnreadableError
	if err := try(unreadableView); !errors.As(err, &unreadable) {
		t.Errorf("a view that cannot be read back: %v", err)
	}
	if err := try(`VIEW bank.unreadable AS WITH "c" AS (SELECT id FROM accounts) SELECT "c".* FROM "c"`); err != nil {
		t.Errorf("a view that can be read back: %v", err)
	}
	var server *ServerError
	if err := try("VIEW bank.unreadable AS SELECT nothing FROM accounts"); errors.As(err, &unreadable) || !errors.As(err, &server) {
		t.Errorf("a view that cannot be made: %v", err)
	}
	if got := m.query(t, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='nexus' AND table_name LIKE 'tried%'"); got != "0" {
		t.Errorf("%s views are left", got)
	}

	m.exec(t, "CREATE "+unreadableView)
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 2})
	if got := m.Stats().Unreadable; got != 1 {
		t.Errorf("%d views are left out", got)
	}
	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	if got := other.query(t, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema='bank' ORDER BY 1"); got != "accounts,BASE TABLE;readable,VIEW" {
		t.Errorf("restored: %s", got)
	}
}
