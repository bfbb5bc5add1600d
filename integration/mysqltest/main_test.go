package mysqltest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

var (
	all    = flag.Bool("all", false, "run all tests of the golden file, not the few of every run")
	only   = flag.String("tests", "", "run these tests, with commas between")
	part   = flag.String("part", "", "run a part of the golden file, such as 2/5")
	update = flag.Bool("update", false, "write the outcomes into the golden file")
	onward = flag.Bool("onward", false, "go on where a test is stopped, to see whether the servers hold the same behind the rest of it")
	keep   = flag.String("keep", "", "directory that keeps what the tests printed")

	nodeBinary string
)

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, []string{"mariadbd", "mariadb-install-db"}, func(dir string) error {
		nodeBinary = filepath.Join(dir, "mysql_repl")
		return cluster.Build(dir, "", "../../cmd/mysql_repl")
	}))
}
