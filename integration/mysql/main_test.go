package mysql

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// The programs under test, built once for a run.
var (
	nodeBinary         string // mysql_repl
	failingNodeBinary  string // mysql_repl with -tags failpoint
	replBinary         string
	localclusterBinary string
)

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, []string{"mariadbd", "mariadb-install-db"}, build))
}

func build(dir string) error {
	bin, failing := filepath.Join(dir, "bin"), filepath.Join(dir, "failpoint")
	localclusterBinary = filepath.Join(bin, "localcluster")
	nodeBinary, replBinary = filepath.Join(bin, "mysql_repl"), filepath.Join(bin, "repl")
	failingNodeBinary = filepath.Join(failing, "mysql_repl")
	return errors.Join(
		cluster.Build(bin, "", "../../cmd/mysql_repl", "../../cmd/repl", "../localcluster"),
		cluster.Build(failing, "failpoint", "../../cmd/mysql_repl"),
	)
}
