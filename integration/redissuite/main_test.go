package redissuite

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

var (
	all      = flag.Bool("all", false, "run all units, not the few of every run")
	only     = flag.String("units", "", "run these units, with commas between")
	follower = flag.Bool("follower", false, "go through a follower, not through the leader")
	durable  = flag.Bool("durable", true, "go on behind an error that a case does not expect, where the suite would end the run")
	tags     = flag.String("tags", standardTags, "tags of the cases to run")
	quiet    = flag.Duration("quiet", 3*time.Minute, "how long a case may take")
	patience = flag.Duration("patience", 15*time.Minute, "how long a unit may take")
	update   = flag.Bool("update", false, "write the outcomes into the golden file, and what they say into docs/redis-compatibility.md")
	keep     = flag.String("keep", "", "directory that keeps what the suite printed")
	suiteDir = flag.String("suite", filepath.Join("..", "..", "bin", "redissuite", "redis-7.0.15"), "directory of the source of Redis")

	nodeBinary string
)

// standardTags leave out what a redis-server refuses by default.
const standardTags = "-needs:debug"

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, []string{"redis-server"}, func(dir string) error {
		nodeBinary = filepath.Join(dir, "redis_repl")
		return cluster.Build(dir, "", "../../cmd/redis_repl")
	}))
}
