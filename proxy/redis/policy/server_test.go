package policy

import (
	"os"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }

func words(args ...string) [][]byte { return redistest.Words(args...) }
