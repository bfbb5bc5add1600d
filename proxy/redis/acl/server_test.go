package acl

import (
	"os"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }

func list(args ...string) [][]byte { return redistest.Words(args...) }
