package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/cmd/internal/security"
	"github.com/nexus-replication/nexus/cmd/internal/settings"
)

// databases is how many clients see, less the reserved one; a redis-server has so many unless it was configured otherwise.
const databases = 16

// options are the settings of the program. They implement node.Definition.
type options struct {
	*node.Options

	proxyPassword string
	security      security.Options

	redisHost     string
	redisPort     int
	redisUsername string
	redisPassword string
	metadataDB    int
}

func newOptions() *options {
	return &options{
		Options: node.NewOptions(node.Program{
			Name: "redis_repl", Data: "Redis", Server: "redis-server", Clients: "Redis",
			NodePort: 9021, ProxyBelow: 2020,
			Version: version, Commit: commit, Date: date,
		}),
		redisHost:  "127.0.0.1",
		redisPort:  6379,
		metadataDB: 13,
	}
}

// Settings implements node.Definition.
func (o *options) Settings() *settings.Set {
	clients := []settings.Setting{
		{Name: "proxyPassword", Value: settings.String(&o.proxyPassword), Secret: true,
			Usage: "Password that Redis clients must give with AUTH; none by default."},
	}
	return o.Declare(clients, func(s *settings.Set) {
		o.security.Declare(s)
		s.Group("The redis-server behind this node, which nobody else may write to",
			settings.Setting{Name: "redisHost", Value: settings.Text(&o.redisHost, "HOST", node.NotEmpty), Usage: "Its host."},
			settings.Setting{Name: "redisPort", Value: settings.Port(&o.redisPort), Usage: "Its port."},
			settings.Setting{Name: "redisUsername", Value: settings.String(&o.redisUsername),
				Usage: "User for its AUTH; the default user if empty."},
			settings.Setting{Name: "redisPassword", Value: settings.String(&o.redisPassword), Secret: true,
				Usage: "Password for its AUTH."},
			settings.Setting{Name: "metadataDB", Value: settings.Int(&o.metadataDB, 1, databases-1),
				Usage: "Database in which the position in the log is kept; clients cannot use it."},
		)
	})
}

// Complete implements node.Definition.
func (o *options) Complete() error {
	at, err := o.Options.Complete()
	if err != nil {
		return err
	}
	if o.redisUsername != "" && o.redisPassword == "" {
		return o.UsageError("redisUsername", fmt.Sprintf("is %q without a -redisPassword", o.redisUsername), "want both or neither")
	}
	return o.CheckSecurity(&o.security, at, o.proxyPassword != "")
}

// redisAddr is where the redis-server is.
func (o *options) redisAddr() string { return net.JoinHostPort(o.redisHost, strconv.Itoa(o.redisPort)) }
