//go:build clients

package redis

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// What is built or installed once for a run.
var (
	nodeBinary, replBinary     string
	goRedis8, goRedis9         string
	python, nodeModules        string
	errNoPython, errNoNodeLibs error // why a part of the tests cannot run; they fail with it
)

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, []string{"redis-server", "redis-cli"}, build))
}

func build(dir string) error {
	nodeBinary, replBinary = filepath.Join(dir, "bin", "redis_repl"), filepath.Join(dir, "bin", "repl")
	goRedis8, goRedis9 = filepath.Join(dir, "v8", "goredis"), filepath.Join(dir, "v9", "goredis")
	python, errNoPython = findPython()
	nodeModules, errNoNodeLibs = installNodeModules()
	return errors.Join(
		cluster.Build(filepath.Dir(nodeBinary), "", "../../../cmd/redis_repl", "../../../cmd/repl"),
		cluster.Build(filepath.Dir(goRedis8), "goredis8", "./programs/goredis"),
		cluster.Build(filepath.Dir(goRedis9), "", "./programs/goredis"),
	)
}
