package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// galeraProvider is where Debian's galera-4 has its library.
const galeraProvider = "/usr/lib/galera/libgalera_smm.so"

// galeraMissing says what a Galera cluster lacks here.
func galeraMissing() error {
	if _, err := os.Stat(galeraProvider); err != nil {
		return errors.New("no Galera here: install Debian's galera-4, mariadb-backup and socat")
	}
	for _, program := range []string{"mariabackup", "socat"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("a Galera cluster needs Debian's mariadb-backup and socat: %w", err)
		}
	}
	return nil
}

// startGalera starts a cluster of three, one after the other, each when the one before is in step.
func startGalera(ctx context.Context, e *env) (*system, error) {
	if err := galeraMissing(); err != nil {
		return nil, unavailable{err}
	}
	s := new(system)
	s.stop = func() error { return stopAll(s.processes) }
	var nodes []*cluster.MariaDB
	s.caughtUp = func(ctx context.Context) error { return galeraCaughtUp(ctx, nodes) }
	group := "gcomm://"
	for i := range 3 {
		n, member, err := newGaleraNode(filepath.Join(e.dir, fmt.Sprintf("galera-%d", i+1)), i+1, group)
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		if i == 0 {
			group, s.at = "gcomm://"+member, fixed(n.Addr())
		}
		nodes = append(nodes, n)
		s.processes = append(s.processes, backends(&n.Process)...)
		if err := n.StartReady(ctx); err != nil {
			return nil, errors.Join(err, s.stop())
		}
		if err := inStep(ctx, n); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

// galeraCaughtUp waits until all have applied what the first one, which clients use, had committed before.
func galeraCaughtUp(ctx context.Context, nodes []*cluster.MariaDB) error {
	const committed = "SHOW STATUS LIKE 'wsrep_last_committed'"
	number, err := value(ctx, nodes[0], committed)
	if err != nil {
		return err
	}
	for _, n := range nodes[1:] {
		if err := eventually(ctx, n, committed, number); err != nil {
			return err
		}
	}
	return nil
}

// newGaleraNode returns a node that joins group, and where others find it. Its options stand in a file: the state transfer
// hands that to mariabackup.
func newGaleraNode(dir string, number int, group string) (n *cluster.MariaDB, member string, err error) {
	ports := make([]int, 4) // of clients, the group, and both kinds of state transfer
	for i := range ports {
		if ports[i], err = cluster.FreePort(); err != nil {
			return nil, "", err
		}
	}
	n, err = cluster.NewMariaDB(fmt.Sprintf("galera-%d", number), dir, ports[0])
	if err != nil {
		return nil, "", err
	}
	account := ""
	if u, err := user.Current(); err == nil {
		account = u.Username
	}
	member = cluster.Address(ports[1])
	file := filepath.Join(dir, "my.cnf")
	text := fmt.Sprintf(`[mysqld]
user=%[1]s
datadir=%[2]s
port=%[3]d
bind-address=127.0.0.1
socket=%[4]s/s
pid-file=%[4]s/pid
server-id=%[5]d
tmpdir=%[4]s
skip-name-resolve
innodb-buffer-pool-size=64M
innodb-log-file-size=16M
max-connections=500
performance-schema=OFF
binlog-format=ROW
innodb-autoinc-lock-mode=2
innodb-flush-log-at-trx-commit=1
wsrep-on=ON
wsrep-provider=%[6]s
wsrep-cluster-name=bench
wsrep-sst-method=mariabackup
wsrep-sst-auth=root:
wsrep-node-name=galera-%[5]d
wsrep-node-address=%[7]s
wsrep-sst-receive-address=127.0.0.1:%[9]d
wsrep-provider-options="base_port=%[10]d;ist.recv_addr=127.0.0.1:%[8]d;gmcast.listen_addr=tcp://%[7]s"
wsrep-slave-threads=4
[sst]
sst-syslog=0
`, account, n.DataDir, ports[0], dir, number, galeraProvider, member, ports[2], ports[3], ports[1])
	n.Args = []string{"--defaults-file=" + file, "--wsrep-cluster-address=" + group}
	return n, member, os.WriteFile(file, []byte(text), 0o600)
}

// inStep waits until a node holds what the group does, and lets it number rows as a single server would: with steps of 3,
// most of sysbench's updates match no row.
func inStep(ctx context.Context, n *cluster.MariaDB) error {
	if err := eventually(ctx, n, "SHOW STATUS LIKE 'wsrep_local_state_comment'", "Synced"); err != nil {
		return err
	}
	db, err := n.Client()
	if err != nil {
		return err
	}
	defer db.Close()
	return executeAll(ctx, db, "SET GLOBAL wsrep_auto_increment_control=OFF", "SET GLOBAL auto_increment_increment=1", "SET GLOBAL auto_increment_offset=1")
}
