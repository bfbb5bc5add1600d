package mysql

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs under test, built once for a run.
var (
	nodeBinary        string // mysql_repl
	failingNodeBinary string // mysql_repl with -tags failpoint
	replBinary        string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	for _, program := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := exec.LookPath(program); err != nil {
			return 0, fmt.Errorf("the integration tests need %s: run make deps (%w)", program, err)
		}
	}
	dir, err := os.MkdirTemp("", "nexus-mysql-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bin, failing := filepath.Join(dir, "bin"), filepath.Join(dir, "failpoint")
	nodeBinary, replBinary = filepath.Join(bin, "mysql_repl"), filepath.Join(bin, "repl")
	failingNodeBinary = filepath.Join(failing, "mysql_repl")
	for _, args := range [][]string{
		{"build", "-o", bin + "/", "./cmd/mysql_repl", "./cmd/repl"},
		{"build", "-o", failing + "/", "-tags", "failpoint", "./cmd/mysql_repl"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
		}
	}
	return m.Run(), nil
}
