package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"

	// The driver of MariaDB.Client.
	_ "github.com/go-sql-driver/mysql"
)

// MariaDB is a mariadbd with settings as a node wants them, whose account root has no password at first.
type MariaDB struct {
	Process
	Port     int
	DataDir  string
	Password string // of root
}

// NewMariaDB returns a mariadbd, not started, that listens on port and has dir for its own. The first call for a
// directory fills it.
func NewMariaDB(name, dir string, port int) (*MariaDB, error) {
	data := filepath.Join(dir, "data")
	if err := initMariaDB(dir, data); err != nil {
		return nil, err
	}
	return &MariaDB{
		Process: Process{
			Name: name,
			Path: "mariadbd",
			Args: append(mariadbArgs(data),
				"--port="+strconv.Itoa(port), "--bind-address=127.0.0.1", "--socket="+filepath.Join(dir, "s"),
				"--pid-file="+filepath.Join(dir, "pid"), "--server-id="+strconv.Itoa(port),
				"--log-bin=bin", "--binlog-format=ROW", "--binlog-row-image=FULL",
				"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
				"--innodb-buffer-pool-size=64M", "--max-connections=500", "--performance-schema=OFF", "--skip-name-resolve",
				"--log-warnings=1"),
			Dir: dir,
			Log: filepath.Join(dir, "mariadb.log"),
		},
		Port:    port,
		DataDir: data,
	}, nil
}

func mariadbArgs(data string) []string {
	// A mariadbd that starts removes the temporary tables it finds, so each has a place of its own for them.
	args := []string{"--no-defaults", "--datadir=" + data, "--tmpdir=" + filepath.Dir(data), "--innodb-log-file-size=16M"}
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		args = append(args, "--user=root")
	}
	return args
}

// installed is what mariadb-install-db has made for this process. It takes seconds each time, to make the same.
var installed struct {
	sync.Mutex
	image
}

// initMariaDB makes a data directory whose accounts are root at this machine, without a password, and nobody.
func initMariaDB(dir, data string) error {
	if _, err := os.Stat(filepath.Join(data, "mysql")); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	installed.Lock()
	defer installed.Unlock()
	var err error
	if installed.image == nil {
		installed.image, err = installMariaDB(data)
	} else {
		err = installed.write(data)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make the data directory %s: %w", data, err), os.RemoveAll(data))
	}
	return nil
}

func installMariaDB(data string) (image, error) {
	args := append(mariadbArgs(data), "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	if out, err := exec.Command("mariadb-install-db", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, tail(string(out)))
	}
	return readImage(data)
}

// Addr is where it listens.
func (m *MariaDB) Addr() string { return Address(m.Port) }

// Client returns a new connection pool of root's.
func (m *MariaDB) Client() (*sql.DB, error) {
	return sql.Open("mysql", "root:"+m.Password+"@tcp("+m.Addr()+")/?multiStatements=true&timeout=2s&readTimeout=15s")
}

// StartReady starts it and waits until it answers.
func (m *MariaDB) StartReady(ctx context.Context) error {
	if err := m.Start(); err != nil {
		return err
	}
	db, err := m.Client()
	if err != nil {
		return err
	}
	defer db.Close()
	return m.await(ctx, "answer a ping", db.PingContext)
}
