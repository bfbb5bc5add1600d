package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/go-redis/redis/v8"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// Node is one redis_repl and the redis-server behind it, or one mysql_repl and the mariadbd.
type Node struct {
	Process
	Ports
	Host    string   // where it listens
	urlHost string   // where the others reach it
	Backend *Redis   // nil for MySQL
	MariaDB *MariaDB // nil for Redis
	DataDir string
}

// server is a backend of either kind.
type server interface {
	StartReady(ctx context.Context) error
}

func (n *Node) server() server {
	if n.MariaDB != nil {
		return n.MariaDB
	}
	return n.Backend
}

// BackendProcess is the server behind the node.
func (n *Node) BackendProcess() *Process {
	if n.MariaDB != nil {
		return &n.MariaDB.Process
	}
	return &n.Backend.Process
}

// BackendAddr is where that server listens.
func (n *Node) BackendAddr() string { return Address(n.Ports.Backend) }

// URL is the node's raft address as members of the cluster know it.
func (n *Node) URL() string { return "http://" + net.JoinHostPort(n.urlHost, strconv.Itoa(n.Raft)) }

// RaftAddr is where the node listens for other nodes.
func (n *Node) RaftAddr() string { return n.address(n.Raft) }

// Addr is where clients reach the node.
func (n *Node) Addr() string { return n.address(n.Ports.Client) }

// GRPCAddr is where the repl command line reaches the node.
func (n *Node) GRPCAddr() string { return n.address(n.GRPC) }

// MetricsAddr is where the node serves HTTP.
func (n *Node) MetricsAddr() string { return n.address(n.Metrics) }

func (n *Node) address(port int) string { return net.JoinHostPort(n.Host, strconv.Itoa(port)) }

// Client returns a new connection pool to one of the databases. It never tries again by itself.
func (n *Node) Client(db int) *redis.Client { return dial(n.Addr(), db) }

// flags are those of the node's program, of which later ones override earlier ones.
func (n *Node) flags(clusterURLs, clusterName string, extra []string) []string {
	flags := []string{
		"-nexus-cluster-url", clusterURLs,
		"-nexus-node-url", n.URL(),
		"-nexus-cluster-name", clusterName,
		"-nexus-data-dir", n.DataDir,
		"-bind", n.Host,
		"-proxyPort", strconv.Itoa(n.Ports.Client),
		"-grpcPort", strconv.Itoa(n.GRPC),
		"-metricsPort", strconv.Itoa(n.Metrics),
	}
	if n.MariaDB != nil {
		flags = append(flags, "-mysqlConnUrl", "root@tcp("+n.BackendAddr()+")/nexus?autocommit=false")
	} else {
		flags = append(flags, "-redisHost", "127.0.0.1", "-redisPort", strconv.Itoa(n.Ports.Backend))
	}
	if n.Namespace != nil {
		flags = append(flags, "-insecure") // it listens beyond loopback
	}
	return append(flags, extra...)
}

// SQL returns a new pool of connections of root's to the node, whose clients' port it uses.
func (n *Node) SQL() (*sql.DB, error) {
	return sql.Open("mysql", "root@tcp("+n.Addr()+")/?multiStatements=true&timeout=2s&readTimeout=15s")
}

// Ready reports, as an error that says why, whether the node does not serve.
func (n *Node) Ready(ctx context.Context) error {
	return n.Admin(func(c nexuspb.NexusClient) error {
		check, err := c.Check(ctx, &nexuspb.CheckRequest{})
		if err == nil && !check.GetServing() {
			err = fmt.Errorf("not serving: %s", check.GetProblem())
		}
		return err
	})
}

// AwaitReady waits until the node serves. It fails at once when the node's process ends.
func (n *Node) AwaitReady(ctx context.Context) error {
	return n.await(ctx, "serve", n.Ready)
}

// StartReady starts the node and waits until it serves.
func (n *Node) StartReady(ctx context.Context) error {
	if err := n.Start(); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// Status asks the node for its view of the cluster.
func (n *Node) Status(ctx context.Context) (status *nexuspb.StatusResponse, err error) {
	err = n.Admin(func(c nexuspb.NexusClient) error {
		status, err = c.Status(ctx, &nexuspb.StatusRequest{})
		return err
	})
	return status, err
}

// Admin calls f with a connection to the node's gRPC port.
func (n *Node) Admin(f func(nexuspb.NexusClient) error) error {
	conn, err := grpc.NewClient(n.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(nexuspb.NewNexusClient(conn))
}

var errNoLeader = errors.New("no leader that serves")
