package mysql

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A client that is idle sees the end of its connection when the server ends it, and a pool takes another.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	ctx := within(t, 40*time.Second)
	var raw net.Conn
	mysql.RegisterDialContext("watched", func(ctx context.Context, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address)
		raw = c
		return c, err
	})
	db, err := sql.Open("mysql", "root@watched("+leader.Addr()+")/")
	check(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "SET SESSION wait_timeout=1")
	check(t, err)
	check(t, raw.SetReadDeadline(time.Now().Add(20*time.Second)))
	if n, err := raw.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes of an idle connection: %v", n, err)
	}
	if _, err := db.ExecContext(ctx, "DO 1"); err != nil {
		t.Error(err)
	}
}
