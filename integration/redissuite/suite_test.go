package redissuite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// suiteVersion is the one that the golden files are of, and of the redis-server that they compare with.
const suiteVersion = "7.0"

// needSuite skips the test where the suite or what it needs is not there.
func needSuite(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("tclsh"); err != nil {
		t.Skip("NOT TESTED: the test suite of Redis needs tclsh: run .ci/deps redissuite")
	}
	if _, err := os.Stat(filepath.Join(*suiteDir, "tests", "test_helper.tcl")); err != nil {
		t.Skipf("NOT TESTED: the test suite of Redis is not in %s: run .ci/deps redissuite", *suiteDir)
	}
	version, err := exec.CommandContext(t.Context(), "redis-server", "--version").Output()
	check(t, err)
	if !strings.Contains(string(version), "v="+suiteVersion+".") {
		t.Skipf("NOT TESTED: the test suite is that of Redis %s, this is %s", suiteVersion, oneLine(string(version)))
	}
}

// suite is a copy of the suite for one test, which writes beside itself.
type suite struct {
	dir      string
	baseport int // the test server of the suite takes a port below it
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	s := &suite{dir: t.TempDir()}
	check(t, os.CopyFS(filepath.Join(s.dir, "tests"), os.DirFS(filepath.Join(*suiteDir, "tests"))))
	check(t, os.MkdirAll(filepath.Join(s.dir, "tests", "tmp"), 0o755))
	port, err := cluster.FreePort()
	check(t, err)
	s.baseport = port
	return s
}

// run runs a unit on the server at port. It leaves out the cases whose names are in skip.
func (s *suite) run(ctx context.Context, unit string, port int, skip []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, *patience)
	defer cancel()
	args := []string{"tests/test_helper.tcl", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--single", unit, "--baseport", strconv.Itoa(s.baseport),
		"--timeout", strconv.Itoa(int(*quiet / time.Second))}
	if *tags != "" {
		args = append(args, "--tags", *tags)
	}
	if *durable {
		args = append(args, "--durable")
	}
	for _, name := range skip {
		args = append(args, "--skiptest", name)
	}
	cmd := exec.CommandContext(ctx, "tclsh", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "TERM=dumb", "LC_ALL=C.UTF-8")
	// The suite has its client in a process of its own, which would hold the output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		return "", fmt.Errorf("run the test suite: %w", err)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of it after an error; mostly nothing
	// Whether cases failed is in what it printed.
	return strings.ReplaceAll(string(out), strconv.Itoa(port), "PORT"), nil
}
