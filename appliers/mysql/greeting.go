package mysql

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// Who speaks the protocol of MySQL speaks first, and a redis-server never does: a node that was sent to one would wait for its
// greeting for as long as it waits for an answer, and then do so again.

const (
	// greetingPatience is how long a login may take before somebody else is looked for behind the address. A server that looks
	// up the names of its clients may be as slow.
	greetingPatience = time.Second
	// askPatience bounds the look.
	askPatience = time.Second
)

// login watches over the login on a connection.
type login struct {
	timer *time.Timer
	redis atomic.Bool
}

// watchLogin gives the connection up if a redis-server is found where it leads to.
func watchLogin(ctx context.Context, c net.Conn, network, address string) *login {
	l := new(login)
	l.timer = time.AfterFunc(greetingPatience, func() {
		if isRedis(ctx, network, address) {
			l.redis.Store(true)
			_ = c.Close()
		}
	})
	return l
}

// end ends the watch, if there is one, and returns why nobody can log in there, or nil.
func (l *login) end(network, address string) error {
	if l == nil || l.timer.Stop() || !l.redis.Load() {
		return nil
	}
	setting := "-mysqlConnUrl"
	if network == "unix" {
		setting = "-mysqlSocket"
	}
	return &raft.FatalError{Err: fmt.Errorf("backend %s is a redis-server, where a mariadbd is wanted: correct %s, or run redis_repl for it", address, setting)}
}

// redisReply is what a redis-server says to PING. No greeting of MySQL's begins so: its first three bytes would be a length of
// megabytes.
var redisReply = regexp.MustCompile(`^(\+PONG|-[A-Z]{3})`)

// isRedis asks on a connection of its own, because no other server could do anything with the question.
func isRedis(ctx context.Context, network, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return false
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 64)
	n, _ := c.Read(answer) // nothing is an answer too
	return redisReply.Match(answer[:n])
}
