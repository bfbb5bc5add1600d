//go:build clients

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
var nodeBinary, replBinary string

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, []string{"mariadbd", "mariadb-install-db", "mariadb"}, build))
}

func build(dir string) error {
	nodeBinary, replBinary = filepath.Join(dir, "mysql_repl"), filepath.Join(dir, "repl")
	return errors.Join(cluster.Build(dir, "", "../../../cmd/mysql_repl", "../../../cmd/repl"))
}
