package mysql

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/raft"
)

func greetedConfig(addr string) Config {
	cfg := NewConfig()
	cfg.Addr, cfg.User = addr, "root"
	cfg.ReplyTimeout = time.Hour
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// openAt returns why a node cannot use what is there.
func openAt(t *testing.T, cfg Config) error {
	t.Helper()
	b, err := New(cfg)
	check(t, err)
	defer b.Close()
	_, err = b.Open(within(t, 40*time.Second), raft.Identity{Cluster: 7, Node: 1})
	return err
}

// A redis-server waits for the node as the node waits for its greeting. It is none for which the node would wait.
func TestRedisIsNoMariaDB(t *testing.T) {
	for name, flags := range map[string][]string{"open": nil, "with a password": {"--requirepass", "secret"}} {
		t.Run(name, func(t *testing.T) {
			port, err := cluster.FreePort()
			check(t, err)
			dir := t.TempDir()
			r, err := cluster.NewRedis("redis", dir, port)
			check(t, err)
			socket := filepath.Join(dir, "s")
			r.Args = append(append(r.Args, "--unixsocket", socket), flags...)
			check(t, r.Start())
			t.Cleanup(func() { check(t, r.Kill()) })
			await(t, "redis-server answers", func() bool { return isRedis(t.Context(), "unix", socket) && isRedis(t.Context(), "tcp", r.Addr()) })

			cfg := greetedConfig(r.Addr())
			for _, own := range []struct{ socket, want string }{
				{"", "backend " + r.Addr() + " is a redis-server, where a mariadbd is wanted: correct -mysqlConnUrl"},
				{socket, "backend " + socket + " is a redis-server, where a mariadbd is wanted: correct -mysqlSocket"},
			} {
				cfg.Socket = own.socket
				err = openAt(t, cfg)
				var fatal *raft.FatalError
				if !errors.As(err, &fatal) || !strings.HasPrefix(err.Error(), own.want) {
					t.Errorf("got %v, want %s", err, own.want)
				}
			}
		})
	}
}

// Who says nothing at all may be a server that hangs, and is waited for.
func TestSilentServerIsWaitedFor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer ln.Close()
	cfg := greetedConfig(ln.Addr().String())
	cfg.ReplyTimeout = greetingPatience + 2*askPatience
	err = openAt(t, cfg)
	var fatal *raft.FatalError
	if err == nil || errors.As(err, &fatal) {
		t.Errorf("got %v", err)
	}
}

// A server that takes its time to greet, as one does that looks up the names of its clients, is asked what it is meanwhile, and
// is no other for that.
func TestSlowGreeting(t *testing.T) {
	s := startServer(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	asked := make(chan struct{})
	var relays sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(relays.Wait)
	t.Cleanup(cancel)
	t.Cleanup(func() { ln.Close() })
	relays.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			relays.Go(func() {
				defer c.Close()
				if n == 1 {
					select {
					case <-asked:
					case <-ctx.Done():
						return
					}
				}
				relay(ctx, c, s.Addr())
				if n == 2 {
					close(asked)
				}
			})
		}
	})
	if err := openAt(t, greetedConfig(ln.Addr().String())); err != nil {
		t.Error(err)
	}
	select {
	case <-asked:
	default:
		t.Error("nobody has asked what the server is")
	}
}

// relay lets c talk with the server at addr until one of them ends.
func relay(ctx context.Context, c net.Conn, addr string) {
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	closeBoth := func() { _, _ = c.Close(), to.Close() }
	defer context.AfterFunc(ctx, closeBoth)()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{c, to}, {to, c}} {
		both.Go(func() {
			defer closeBoth()
			_, _ = io.Copy(pair[0], pair[1])
		})
	}
	both.Wait()
}
