package integration

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
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
	os.Exit(clustertest.Main(m, []string{"redis-server", "redis-cli", "redis-benchmark"}, build))
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
