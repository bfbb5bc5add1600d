package main

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/cmd/internal/security"
	"github.com/nexus-replication/nexus/cmd/internal/settings"
	proxy "github.com/nexus-replication/nexus/proxy/mysql"
)

// options are the settings of the program. They implement node.Definition.
type options struct {
	*node.Options

	maxConnections int
	maxRequest     int // bytes
	maxClientRate  int // statements a second
	maxTransaction int // bytes
	patience       time.Duration
	handshake      time.Duration
	tableLock      time.Duration
	eventTimeout   time.Duration
	tlsOptional    bool

	connURL     string
	backend     *mysql.Config // connURL, parsed
	mysqlSocket string
	mysqlTLS    bool
	mysqlFiles  security.Files
}

func newOptions() *options {
	limits := proxy.NewConfig()
	return &options{
		Options: node.NewOptions(node.Program{
			Name: "mysql_repl", Data: "MariaDB", Server: "mariadbd", Clients: "MySQL",
			NodePort: 9031, ProxyBelow: 1930,
			Version: version, Commit: commit, Date: date,
		}),
		maxConnections: limits.MaxConnections,
		maxRequest:     limits.MaxPacket,
		maxTransaction: appliers.NewConfig().MaxTransactionBytes,
		patience:       limits.WriteTimeout,
		handshake:      limits.HandshakeTimeout,
		tableLock:      limits.LockTimeout,
		eventTimeout:   limits.EventTimeout,
		connURL:        "root@tcp(127.0.0.1:3306)/nexus",
	}
}

// Settings implements node.Definition.
func (o *options) Settings() *settings.Set {
	clients := []settings.Setting{
		{Name: "readOnlyPort", Value: settings.OptionalPort(&o.ReadPort), Default: "0",
			Usage: "Port for MySQL clients that only read: each node answers from its own mariadbd, as soon as that holds everything that was acknowledged; 0 for none, auto for 100 above the default of -proxyPort."},
		{Name: "maxConnections", Value: settings.Int(&o.maxConnections, 1, 100_000),
			Usage: "Number of clients served at a time. Each has a connection of its own to the mariadbd, whose max_connections must be greater."},
		{Name: "maxRequest", Value: settings.Int(&o.maxRequest, 1<<16, 1<<30),
			Usage: "Bytes of one statement or parameter of a MySQL client; a longer one is an error and its connection is closed."},
		{Name: "maxClientRate", Value: settings.Int(&o.maxClientRate, 0, 100_000_000),
			Usage: "Statements, and other commands, a second that one connection of a MySQL client may send; what is more waits. A second's worth may come at once. 0 for any number."},
		{Name: "maxTransaction", Value: settings.Int(&o.maxTransaction, 1<<20, 256<<20),
			Usage: "Bytes of the rows that one transaction of a MySQL client may write, before and after each change; a larger one is rolled back with an error."},
		{Name: "slowClientTimeout", Value: settings.Duration(&o.patience, 100*time.Millisecond, time.Hour),
			Usage: "Time for which a MySQL client may take nothing of what is sent to it before it is closed. Meanwhile no more is read from the mariadbd for it."},
		{Name: "handshakeTimeout", Value: settings.Duration(&o.handshake, 100*time.Millisecond, time.Hour),
			Usage: "Time that a MySQL client may take to log in, with TLS or without. How long it may be idle is the server's wait_timeout."},
		{Name: "tableLockTimeout", Value: settings.Duration(&o.tableLock, time.Second, 24*time.Hour),
			Usage: "Time for which a MySQL client may keep all others from writing by LOCK TABLES ... WRITE or FLUSH TABLES WITH READ LOCK, before its connection is closed."},
		{Name: "eventTimeout", Value: settings.Duration(&o.eventTimeout, time.Second, 30*24*time.Hour),
			Usage: "Time for which an event (CREATE EVENT) may be executed. One that takes longer is ended, rolled back and counts as failed."},
		{Name: "proxyTLSOptional", Value: settings.Bool(&o.tlsOptional),
			Usage: "Let database clients choose whether they use TLS, where -proxyCert is given."},
	}
	return o.Declare(clients, func(s *settings.Set) {
		s.Group("The mariadbd behind this node, which nobody else may write to",
			settings.Setting{Name: "mysqlConnUrl", Alias: "mysql-conn-url", Value: settings.Text(&o.connURL, "DSN", node.NotEmpty), Secret: true,
				Usage: "Where it is and as whom, as USER:PASSWORD@tcp(HOST:PORT)/DATABASE. The account needs all privileges, and is not replicated. Parameters behind a ? are ignored."},
			settings.Setting{Name: "mysqlSocket", Value: settings.String(&o.mysqlSocket),
				Usage: "Its unix socket, for what the node itself does; the account may be unix_socket's then, and have no password. The sessions of clients go to HOST:PORT all the same."},
			settings.Setting{Name: "mysqlTLS", Value: settings.Bool(&o.mysqlTLS),
				Usage: "Connect to HOST:PORT with TLS; its certificate must be for that HOST."},
			settings.Setting{Name: "mysqlCA", Value: settings.String(&o.mysqlFiles.CA),
				Usage: "Certificate of the authority that has signed its certificate; those of the system if empty."},
			settings.Setting{Name: "mysqlCert", Value: settings.String(&o.mysqlFiles.Cert),
				Usage: "Certificate to show to it, also for clients: an account that REQUIREs one takes it for theirs."},
			settings.Setting{Name: "mysqlKey", Value: settings.String(&o.mysqlFiles.Key), Usage: "Key of that certificate."},
		)
	})
}

// Complete implements node.Definition.
func (o *options) Complete() error {
	at, err := o.Options.Complete()
	if err != nil {
		return err
	}
	if err := o.parseConnURL(); err != nil {
		return err
	}
	switch {
	case !o.mysqlTLS && o.mysqlFiles != (security.Files{}):
		return o.UsageError("mysqlTLS", "is not set, but files for it are given", "want both or neither")
	case (o.mysqlFiles.Cert == "") != (o.mysqlFiles.Key == ""):
		return o.UsageError("mysqlCert", "and -mysqlKey go together", "want both or neither")
	}
	return o.checkSecurity(at)
}

// checkSecurity refuses what would let in anybody by mistake. The accounts of clients are those of the server, to which
// all of them seem to come from this machine: at least the one that may do anything has a password then.
func (o *options) checkSecurity(at *url.URL) error {
	if err := o.CheckSecurity(at, o.backend.Passwd != ""); err != nil {
		return err
	}
	if o.Security.Proxy.Cert != "" && o.Security.Peers.Cert == "" {
		return o.UsageError("proxyCert", "is given without -nexus-peer-cert",
			"want both: a follower hands its clients over to the leader, which would not be encrypted")
	}
	if o.tlsOptional && o.Security.Proxy.Cert == "" {
		return o.UsageError("proxyTLSOptional", "is given without -proxyCert", "want both or neither")
	}
	if o.tlsOptional && o.Security.Proxy.CA != "" {
		return o.UsageError("proxyTLSOptional", "does not go with -proxyCA", "want one of them: without TLS no client can show a certificate")
	}
	return nil
}

// parseConnURL takes this form, "root:root@tcp(127.0.0.1:3306)/nexus?autocommit=false".
func (o *options) parseConnURL() error {
	const want = `want USER:PASSWORD@tcp(HOST:PORT)/DATABASE, such as "root:root@tcp(127.0.0.1:3306)/nexus"`
	dsn, _, _ := strings.Cut(o.connURL, "?")
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return o.UsageError("mysqlConnUrl", "cannot be read: "+err.Error(), want) // without its value, which holds a password
	}
	if cfg.Net == "unix" {
		return o.UsageError("mysqlConnUrl", "is a unix socket, which would take clients for the user of this process",
			"want USER:PASSWORD@tcp(HOST:PORT)/DATABASE for their sessions, and the socket as -mysqlSocket for the node's own")
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
