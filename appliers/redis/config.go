package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// CommandArity names a command that the backend must know, with the arity that COMMAND INFO reports.
type CommandArity struct {
	Name  string
	Arity int
}

// Config of a Backend. NewConfig returns the defaults; a zero field is not a default.
type Config struct {
	// Addr is host:port of the backend, or unix: and the path of its socket.
	Addr string
	// TLS is nil to connect without. The name that its certificate is for is the host of Addr, unless ServerName is set.
	TLS *tls.Config
	// Username and Password are sent with AUTH when Password is not empty; an empty Username means the default user.
	Username string
	Password string
	// Databases is how many the backend must have at least: those that ops name, and MetadataDB.
	Databases int
	// MetadataDB is the database reserved for the position. No op may name it.
	MetadataDB int

	// DialTimeout bounds the making of a TCP connection.
	DialTimeout time.Duration
	// ReplyTimeout is the time without a byte of progress after which a connection that owes a reply counts as dead.
	ReplyTimeout time.Duration

	// MaxRunBytes and MaxRunItems bound one transaction; an entry is never split.
	MaxRunBytes int
	MaxRunItems int
	// MaxReplyBytes bounds the replies kept for the waiting commands of one transaction. A command whose reply does not
	// fit gets raft.ErrReplyLost, wrapped.
	MaxReplyBytes int
	// ReadBudget bounds the bytes that one Read call returns.
	ReadBudget int
	// StreamConns bounds the connections that Stream uses at the same time.
	StreamConns int
	// WatchConns bounds the Watchers that have a connection at the same time.
	WatchConns int
	// MaxSubscribers bounds the connections for subscribers, each of which is a client of the backend.
	MaxSubscribers int

	// Require lists commands that Open insists on.
	Require []CommandArity

	Logger *slog.Logger
}

// NewConfig returns the defaults, to be completed with Addr.
func NewConfig() Config {
	return Config{
		Addr:           "127.0.0.1:6379",
		Databases:      16,
		MetadataDB:     13,
		DialTimeout:    2 * time.Second,
		ReplyTimeout:   10 * time.Second,
		MaxRunBytes:    4 << 20,
		MaxRunItems:    4096,
		MaxReplyBytes:  1 << 30,
		ReadBudget:     1 << 20,
		StreamConns:    8,
		WatchConns:     1000,
		MaxSubscribers: 8000,
		Logger:         slog.Default(),
	}
}

// Validate reports the first bad field, its value and what is expected.
func (c *Config) Validate() error {
	if network, path := c.endpoint(); network == "unix" {
		if path == "" {
			return fmt.Errorf("config: Addr is %q, want the path of a socket behind unix:", c.Addr)
		}
		if c.TLS != nil {
			return fmt.Errorf("config: Addr is %q, which does not go with TLS", c.Addr)
		}
	} else if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return fmt.Errorf("config: Addr is %q, want host:port of the backend: %w", c.Addr, err)
	}
	if c.Username != "" && c.Password == "" {
		return fmt.Errorf("config: Username is %q without a Password", c.Username)
	}
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"MetadataDB", int64(c.MetadataDB), 1},
		{"Databases", int64(c.Databases), int64(c.MetadataDB) + 1},
		{"DialTimeout", int64(c.DialTimeout), int64(time.Millisecond)},
		{"ReplyTimeout", int64(c.ReplyTimeout), int64(10 * time.Millisecond)},
		{"MaxRunBytes", int64(c.MaxRunBytes), 1},
		{"MaxRunItems", int64(c.MaxRunItems), 1},
		{"MaxReplyBytes", int64(c.MaxReplyBytes), 1},
		{"ReadBudget", int64(c.ReadBudget), 1},
		{"StreamConns", int64(c.StreamConns), 1},
		{"WatchConns", int64(c.WatchConns), 1},
		{"MaxSubscribers", int64(c.MaxSubscribers), 1},
	} {
		if n.value < n.least {
			return fmt.Errorf("config: %s is %d, want at least %d", n.name, n.value, n.least)
		}
	}
	for _, r := range c.Require {
		if r.Name == "" {
			return errors.New("config: Require has an entry without a name")
		}
	}
	if c.Logger == nil {
		return errors.New("config: Logger is nil")
	}
	return nil
}
