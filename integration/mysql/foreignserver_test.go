package mysql

import (
	"database/sql"
	"fmt"
	"testing"
	"time"
)

// What CREATE SERVER says is the same on all servers, and in backups.
func TestForeignServers(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE USER small@'%'", "CREATE SERVER far FOREIGN DATA WRAPPER mysql OPTIONS (HOST '10.0.0.1', USER 'it''s', PASSWORD 'p')",
		"CREATE SERVER IF NOT EXISTS far FOREIGN DATA WRAPPER mysql OPTIONS (HOST '10.0.0.2')", "CREATE OR REPLACE SERVER other FOREIGN DATA WRAPPER mysql OPTIONS (HOST '10.0.0.3')",
		"ALTER SERVER far OPTIONS (PORT 3307)", "DROP SERVER other", "DROP SERVER IF EXISTS other")
	small, err := sql.Open("mysql", "small@tcp("+leader.Addr()+")/")
	check(t, err)
	defer small.Close()
	for text, want := range map[string]uint16{
		"CREATE SERVER far FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'h')": 1476, "DROP SERVER nosuch": 1477, "ALTER SERVER nosuch OPTIONS (HOST 'h')": 1477,
	} {
		if _, err := db.ExecContext(within(t, 40*time.Second), text); code(err) != want {
			t.Errorf("%s: %v, want %d", text, err, want)
		}
		if _, err := small.ExecContext(within(t, 40*time.Second), text); code(err) != 1227 {
			t.Errorf("%s without the privilege: %v", text, err)
		}
	}
	const asked, want = "SELECT server_name, host, username, password, port FROM mysql.servers", "far,10.0.0.1,it's,p,3307"
	for _, n := range c.Nodes {
		server, err := n.MariaDB.Client()
		check(t, err)
		t.Cleanup(func() { server.Close() })
		eventually(t, 40*time.Second, func() error {
			if got := mustQuery(t, server, asked); got != want {
				return fmt.Errorf("%s has %q, want %q", n.Name, got, want)
			}
			return nil
		})
	}
	if got := mustQuery(t, open(t, restored(t, leader)), asked); got != want {
		t.Errorf("restored %q, want %q", got, want)
	}
}
