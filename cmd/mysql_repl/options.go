package main

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/cmd/internal/settings"
)

// options are the settings of the program. They implement node.Definition.
type options struct {
	*node.Options

	maxConnections int

	connURL string
	backend *mysql.Config // connURL, parsed
}

func newOptions() *options {
	return &options{
		Options: node.NewOptions(node.Program{
			Name: "mysql_repl", Data: "MariaDB", Server: "mariadbd", Clients: "MySQL",
			NodePort: 9031, ProxyBelow: 1930,
			Version: version, Commit: commit, Date: date,
		}),
		maxConnections: 400,
		connURL:        "root@tcp(127.0.0.1:3306)/nexus",
	}
}

// Settings implements node.Definition.
func (o *options) Settings() *settings.Set {
	clients := []settings.Setting{
		{Name: "maxConnections", Value: settings.Int(&o.maxConnections, 1, 100_000),
			Usage: "Number of clients served at a time. Each has a connection of its own to the mariadbd, whose max_connections must be greater."},
	}
	return o.Declare(clients, func(s *settings.Set) {
		s.Group("The mariadbd behind this node, which nobody else may write to",
			settings.Setting{Name: "mysqlConnUrl", Alias: "mysql-conn-url", Value: settings.Text(&o.connURL, "DSN", node.NotEmpty), Secret: true,
				Usage: "Where it is and as whom, as USER:PASSWORD@tcp(HOST:PORT)/DATABASE. The account needs all privileges, and is not replicated. Parameters behind a ? are ignored."},
		)
	})
}

// Complete implements node.Definition.
func (o *options) Complete() error {
	if _, err := o.Options.Complete(); err != nil {
		return err
	}
	return o.parseConnURL()
}

// parseConnURL takes this form, "root:root@tcp(127.0.0.1:3306)/nexus?autocommit=false".
func (o *options) parseConnURL() error {
	const want = `want USER:PASSWORD@tcp(HOST:PORT)/DATABASE, such as "root:root@tcp(127.0.0.1:3306)/nexus"`
	dsn, _, _ := strings.Cut(o.connURL, "?")
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return o.UsageError("mysqlConnUrl", "cannot be read: "+err.Error(), want) // without its value, which holds a password
	}
	if cfg.Net != "tcp" || cfg.User == "" {
		return o.UsageError("mysqlConnUrl", "names no user, or no address of TCP", want)
	}
	o.backend = cfg
	return nil
}

// advertised is where other nodes reach the clients' port of this one.
func (o *options) advertised() string {
	at, err := url.Parse(o.NodeURL)
	if err != nil || o.ProxyPort == 0 {
		return ""
	}
	return net.JoinHostPort(at.Hostname(), strconv.Itoa(o.ProxyPort))
}
