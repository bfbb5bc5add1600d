package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-redis/redis/v8"
)

// Redis is a redis-server that keeps nothing on disk by itself.
type Redis struct {
	Process
	Port    int
	DataDir string
	socket  string // where this process reaches it, if that is not by its port
}

// NewRedis returns a redis-server, not started, that listens on port and has dir for its own.
func NewRedis(name, dir string, port int) (*Redis, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &Redis{
		Process: Process{
			Name: name,
			Path: "redis-server",
			Args: []string{
				"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no",
				"--save", "", "--appendonly", "no", "--databases", "16",
			},
			Log: filepath.Join(dir, "redis.log"),
		},
		Port:    port,
		DataDir: dir,
	}, nil
}

// moveTo has it run in the network of its node, to which it connects while it is filled, and listen at a unix socket for
// this process.
func (r *Redis) moveTo(namespace *os.File) {
	r.Namespace = namespace
	r.socket = filepath.Join(r.DataDir, "s")
	r.Args = append(r.Args, "--unixsocket", r.socket)
}

// Addr is where it listens.
func (r *Redis) Addr() string { return Address(r.Port) }

// Client returns a new connection pool to one of its databases.
func (r *Redis) Client(db int) *redis.Client {
	if r.socket != "" {
		return redis.NewClient(options("unix", r.socket, db))
	}
	return dial(r.Addr(), db)
}

// StartReady starts it and waits until it answers.
func (r *Redis) StartReady(ctx context.Context) error {
	if err := r.Start(); err != nil {
		return err
	}
	c := r.Client(0)
	defer c.Close()
	return r.await(ctx, "answer PING", func(ctx context.Context) error { return c.Ping(ctx).Err() })
}

// await polls condition until it holds. It gives up when ctx ends or the process does, and tells what it wrote last.
func (p *Process) await(ctx context.Context, what string, condition func(context.Context) error) error {
	exited := p.Exited()
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		err := condition(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%s ended before it could %s: %w; it wrote:\n%s", p.Name, what, p.ended(), tail(p.Output()))
		case <-ctx.Done():
			return fmt.Errorf("%s does not %s: %w (%w); it wrote:\n%s", p.Name, what, err, ctx.Err(), tail(p.Output()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

func dial(addr string, db int) *redis.Client {
	return redis.NewClient(options("tcp", addr, db))
}

func options(network, addr string, db int) *redis.Options {
	return &redis.Options{
		Network: network, Addr: addr, DB: db, MaxRetries: -1, DialTimeout: 2 * time.Second, ReadTimeout: 15 * time.Second,
	}
}
