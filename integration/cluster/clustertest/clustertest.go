// Package clustertest is what the packages of integration tests share: how a run begins, and clusters that end with
// their test.
package clustertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Main runs the tests of a package and returns the exit code. It fails where one of programs is missing; build makes the
// binaries under test in a directory that is gone afterwards.
func Main(m *testing.M, programs []string, build func(dir string) error) int {
	code, err := run(m, programs, build)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func run(m *testing.M, programs []string, build func(dir string) error) (code int, err error) {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			return 0, fmt.Errorf("these tests need %s: run make deps (%w)", program, err)
		}
	}
	dir, err := os.MkdirTemp("", "nexus-integration-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(dir); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// New returns a cluster, not started, in a directory of the test, that is gone when the test ends. A test that fails
// prints what the nodes wrote.
func New(t *testing.T, opts cluster.Options) *cluster.Cluster {
	t.Helper()
	opts.Dir = t.TempDir()
	c, err := cluster.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(c.Logs())
		}
	})
	return c
}
