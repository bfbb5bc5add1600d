package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"

	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/cmd/internal/security"
	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
)

// databases is how many clients see, less the reserved one; a redis-server has so many unless it was configured otherwise.
const databases = 16

// options are the settings of the program. They implement node.Definition.
type options struct {
	*node.Options

	proxyPassword string
	usersFile     string
	clientsKnown  bool // every client must say who it is
	limits        limits

	redisHost     string
	redisSocket   string
	redisTLS      bool
	redisFiles    security.Files
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
		limits:     defaultLimits(),
		metadataDB: 13,
	}
}

// Settings implements node.Definition.
func (o *options) Settings() *settings.Set {
	clients := []settings.Setting{
		{Name: "proxyPassword", Value: settings.String(&o.proxyPassword), Secret: true,
			Usage: "Password that Redis clients must give with AUTH; none by default."},
		{Name: "users", Value: settings.String(&o.usersFile),
			Usage: "File with the users of Redis clients and what each may do, in the form of Redis' aclfile: user NAME RULES, a line for each. Without a line for default, clients must log in. Read again at SIGHUP and by ACL LOAD. Takes the place of -proxyPassword."},
	}
	clients = append(clients, o.limits.settings()...)
	return o.Declare(clients, func(s *settings.Set) {
		s.Group("The redis-server behind this node, which nobody else may write to",
			settings.Setting{Name: "redisHost", Value: settings.Text(&o.redisHost, "HOST", node.NotEmpty), Usage: "Its host."},
			settings.Setting{Name: "redisPort", Value: settings.Port(&o.redisPort), Usage: "Its port."},
			settings.Setting{Name: "redisSocket", Value: settings.String(&o.redisSocket),
				Usage: "Its unix socket, in place of host and port. To be filled from a snapshot it connects to this node at 127.0.0.1."},
			settings.Setting{Name: "redisTLS", Value: settings.Bool(&o.redisTLS),
				Usage: "Connect to it with TLS; its certificate must be for the -redisHost."},
			settings.Setting{Name: "redisCA", Value: settings.String(&o.redisFiles.CA),
				Usage: "Certificate of the authority that has signed its certificate; those of the system if empty."},
			settings.Setting{Name: "redisCert", Value: settings.String(&o.redisFiles.Cert),
				Usage: "Certificate to show to it."},
			settings.Setting{Name: "redisKey", Value: settings.String(&o.redisFiles.Key), Usage: "Key of that certificate."},
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
	switch {
	case !o.redisTLS && o.redisFiles != (security.Files{}):
		return o.UsageError("redisTLS", "is not set, but files for it are given", "want both or neither")
	case (o.redisFiles.Cert == "") != (o.redisFiles.Key == ""):
		return o.UsageError("redisCert", "and -redisKey go together", "want both or neither")
	case o.redisTLS && o.redisSocket != "":
		return o.UsageError("redisTLS", "does not go with -redisSocket", "want one of them")
	}
	if err := o.completeUsers(); err != nil {
		return err
	}
	return o.CheckSecurity(at, o.clientsKnown)
}

// completeUsers reads the file of users, so that what is wrong in it is said at once.
func (o *options) completeUsers() error {
	o.clientsKnown = o.proxyPassword != ""
	if o.usersFile == "" {
		return nil
	}
	if o.proxyPassword != "" {
		return o.UsageError("proxyPassword", "is given with -users", "want one of them: the file may have a line for default")
	}
	users, err := acl.ReadFile(acl.NewTable(), o.usersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return o.UsageError("users", fmt.Sprintf("names %q, which does not exist", o.usersFile), `want a file with a line for each user, such as "user alice on >PASSWORD ~* &* +@all"`)
	}
	if err != nil {
		return o.UsageError("users", "is not right: "+err.Error(), "want a file in the form of Redis' aclfile")
	}
	o.clientsKnown = !users.User(acl.Default).Open()
	return nil
}

// redisAddr is where the redis-server is.
func (o *options) redisAddr() string {
	if o.redisSocket != "" {
		return "unix:" + o.redisSocket
	}
	return net.JoinHostPort(o.redisHost, strconv.Itoa(o.redisPort))
}
