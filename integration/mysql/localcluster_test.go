package mysql

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// What "make run" starts goes on from its data when it is started again.
func TestLocalclusterTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ports := func() int {
		first, err := cluster.FreePorts(3)
		check(t, err)
		return first
	}
	clients := ports()
	l := &cluster.Process{Name: "localcluster", Path: localclusterBinary, Log: filepath.Join(dir, "log"), Args: []string{
		"-bin", filepath.Dir(localclusterBinary), "-data", filepath.Join(dir, "data"), "-only", "mysql",
		"-mysql-client-port", strconv.Itoa(clients), "-mariadb-port", strconv.Itoa(ports()), "-mysql-raft-port", strconv.Itoa(ports()),
		"-mysql-grpc-port", strconv.Itoa(ports()), "-mysql-metrics-port", strconv.Itoa(ports()),
	}}
	t.Cleanup(func() { check(t, l.Kill()) })
	ready := fmt.Sprintf("mariadb -h 127.0.0.1 -P %d -u app -papp app", clients)

	for round := range 2 {
		check(t, l.Start())
		eventually(t, 90*time.Second, func() error {
			if !l.Running() {
				t.Fatalf("localcluster ended: %v\n%s", l.Err(), l.Output())
			}
			if !strings.Contains(l.Output(), ready) {
				return fmt.Errorf("%q is not there yet:\n%s", ready, l.Output())
			}
			return nil
		})
		db, err := sql.Open("mysql", "app:app@tcp("+cluster.Address(clients+round)+")/app")
		check(t, err)
		if round == 0 {
			execute(t, db, "CREATE TABLE visits (n INT PRIMARY KEY)", "INSERT INTO visits VALUES (1)")
		}
		if got := mustQuery(t, db, "SELECT n FROM visits"); got != "1" {
			t.Errorf("start %d: %q", round+1, got)
		}
		check(t, db.Close())
		if err := l.Stop(60 * time.Second); err != nil || l.ExitCode() != 0 {
			t.Fatalf("stopping localcluster: %v, exit status %d\n%s", err, l.ExitCode(), l.Output())
		}
	}
}
