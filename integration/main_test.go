package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// The programs under test, built once for a run.
var (
	nodeBinary         string // redis_repl
	failingNodeBinary  string // redis_repl with -tags failpoint
	replBinary         string
	localclusterBinary string
	binDir             string
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
	for _, program := range []string{"redis-server", "redis-cli", "redis-benchmark"} {
		if _, err := exec.LookPath(program); err != nil {
			return 0, fmt.Errorf("the integration tests need %s: run make deps (%w)", program, err)
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

func build(dir string) error {
	binDir = filepath.Join(dir, "bin")
	failing := filepath.Join(dir, "failpoint")
	nodeBinary = filepath.Join(binDir, "redis_repl")
	replBinary = filepath.Join(binDir, "repl")
	localclusterBinary = filepath.Join(binDir, "localcluster")
	failingNodeBinary = filepath.Join(failing, "redis_repl")
	builds := []struct {
		dir, tags string
		packages  []string
	}{
		{binDir, "", []string{"../cmd/redis_repl", "../cmd/repl", "./localcluster"}},
		{failing, "failpoint", []string{"../cmd/redis_repl"}},
	}
	errs := make([]error, len(builds))
	var wg sync.WaitGroup
	for i, args := range builds {
		wg.Go(func() {
			errs[i] = cluster.Build(args.dir, args.tags, args.packages...)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
