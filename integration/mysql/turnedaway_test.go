package mysql

import (
	"context"
	"errors"
	"fmt"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Who connects where nobody can lead is told so, in a way that drivers and the command line show as it is.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	for _, n := range c.Others(leader) {
		check(t, n.Kill())
	}
	const reason = "Nexus: no leader is known: a majority of the nodes must run and reach each other; try again"
	eventually(t, 60*time.Second, func() error {
		return wantTurnedAway(visitOnce(leader), reason)
	})
	out, err := osexec.CommandContext(within(t, 40*time.Second), "mariadb", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1", fmt.Sprintf("--port=%d", leader.Ports.Client), "--user=root",
		"--execute=SELECT 1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "ERROR 1053 (08S01): "+reason) {
		t.Errorf("the command line prints %s, %v", out, err)
	}
}

// wantTurnedAway is an error unless err is that of a login which is refused for a reason that begins so.
func wantTurnedAway(err error, reason string) error {
	if err == nil {
		return errors.New("the driver is let in")
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != 1053 || string(e.SQLState[:]) != "08S01" || !strings.HasPrefix(e.Message, reason) {
		return fmt.Errorf("the driver is told %w, want %q", err, reason)
	}
	return nil
}

// visitOnce connects without a pool, which would try again.
func visitOnce(n *cluster.Node) error { return logInAt(n.Addr(), "root", "") }

func logInAt(addr, user, password string) error {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", addr, user, password
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := connector.Connect(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}
