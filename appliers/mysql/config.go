package mysql

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Config of a Backend. NewConfig returns the defaults; a zero field is not a default.
type Config struct {
	// Addr is host:port of the server, to which the sessions of clients are connected.
	Addr string
	// Socket, if it is set, is the server's unix socket, for what this node itself says to it. Sessions of clients never go
	// there: the server takes whoever comes by it for the user of this process where an account is unix_socket's.
	Socket string
	// TLS protects what goes to Addr; nil for none.
	TLS *tls.Config
	// User and Password of an account with all privileges. The account is this node's own: it is not replicated.
	User     string
	Password string

	DialTimeout time.Duration
	// ReplyTimeout is how long a statement of bookkeeping may take before its connection counts as dead.
	ReplyTimeout time.Duration
	// SaveInterval is how far, in time, the position may be behind what was committed from prepared transactions.
	SaveInterval time.Duration
	// PurgeInterval is how often the part of the binary log that was read is removed.
	PurgeInterval time.Duration
	// DDLPatience is how long a schema change waits for readers of this server before they are disconnected.
	DDLPatience time.Duration
	// MaxTransactionBytes bounds the rows that one transaction may write, as events of the binary log.
	MaxTransactionBytes int

	Logger *slog.Logger
}

// NewConfig returns the defaults, to be completed with Addr and User.
func NewConfig() Config {
	return Config{
		DialTimeout:   5 * time.Second,
		ReplyTimeout:  30 * time.Second,
		SaveInterval:  200 * time.Millisecond,
		PurgeInterval: 30 * time.Second,
		DDLPatience:   2 * time.Second,

		MaxTransactionBytes: 256 << 20,

		Logger: slog.Default(),
	}
}

// Validate reports the first bad field, its value and what is expected.
func (c *Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return fmt.Errorf("config: Addr is %q, want host:port: %w", c.Addr, err)
	}
	if c.User == "" {
		return errors.New("config: User is empty, want an account with all privileges")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"DialTimeout", c.DialTimeout}, {"ReplyTimeout", c.ReplyTimeout}, {"SaveInterval", c.SaveInterval},
		{"PurgeInterval", c.PurgeInterval}, {"DDLPatience", c.DDLPatience},
	} {
		if d.value < time.Millisecond {
			return fmt.Errorf("config: %s is %v, want at least 1ms", d.name, d.value)
		}
	}
	if c.MaxTransactionBytes < 1<<16 {
		return fmt.Errorf("config: MaxTransactionBytes is %d, want at least 65536", c.MaxTransactionBytes)
	}
	if c.Logger == nil {
		return errors.New("config: Logger is nil")
	}
	return nil
}
