package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/raft"
)

// Node is the member of the cluster that clients talk to.
type Node interface {
	Propose(ctx context.Context, cmds [][]byte) (raft.Outcome, error)
	Read(ctx context.Context, fn func(context.Context) error) error
	Office() (term uint64, ok bool)
	Status() raft.Status
	// AppliedByMajority asks up to where a majority of the members has applied the log.
	AppliedByMajority(ctx context.Context) uint64
	// AskLeader asks the leader how it is. ok is false where there is none, or no answer.
	AskLeader(ctx context.Context) (_ raft.Status, ok bool)
}

// Backend is the local server, as an applier has it.
type Backend interface {
	// IsOwnAccount reports whether user is the account of this node itself, which other servers may not have.
	IsOwnAccount(user string) bool
	Dial(ctx context.Context) (net.Conn, error)
	// TLS protects a connection before somebody logs in; nil where nothing does.
	TLS() *tls.Config
	Begin(epoch uint64, session appliers.Session) (*appliers.Transaction, error)
	// Owes reports whether others have yet to find rows that this server has committed, which Settle says they have up to an index.
	Owes() bool
	Settle(index uint64)
	// Sequences go before the command of a transaction or schema change of the same epoch.
	Sequences(epoch uint64) [][]byte
	// HasSequences reports whether the server may have any.
	HasSequences() bool
	// Interrupt ends the statements that are being executed on connections to the server.
	Interrupt(ctx context.Context, connections []uint64) error
	// Disconnect ends connections to the server, and what is being executed on them.
	Disconnect(ctx context.Context, connections []uint64) error
	// EndHoldups disconnects clients that have locked rows of Nexus's own for which others wait.
	EndHoldups(ctx context.Context) error
	// Steer leads a program on a connection to the server from one transaction to the next.
	Steer(ctx context.Context, connection uint64) (*appliers.Steering, error)
	// Events returns what is due, and how many events are enabled; MakeProcedure makes one that does what an event does.
	Events(ctx context.Context) (due []appliers.Event, enabled int, err error)
	MakeProcedure(ctx context.Context, e *appliers.Event) (procedure string, err error)
	DropProcedure(ctx context.Context, database, procedure string) error
	// MakeStandIn makes a procedure that whoever may call p may call in its place.
	MakeStandIn(ctx context.Context, p *appliers.Procedure, procedure, body string) error
	// TryAltering executes an ALTER TABLE on an empty table like the one that is meant.
	TryAltering(ctx context.Context, prelude []string, table string, altering func(other string) string) error
	// TryView makes a view of another name, and returns an *appliers.UnreadableError if the server does not read it back as it was made.
	TryView(ctx context.Context, prelude []string, making func(other string) string) error
	// Row returns what a question of the node's own selects, whatever clients may see.
	Row(ctx context.Context, question string) ([]string, error)
	// Programs returns the procedures of the server, whoever may see them.
	Programs(ctx context.Context) ([]appliers.StoredProgram, error)
	// SchemaChanges counts those that this node has applied, and whatever else may have changed programs.
	SchemaChanges() uint64
	// Address is where the clients of a node are served; "" if that is not known.
	Address(node uint64) string
	Version() string
}

// Config of a Server. NewConfig returns the defaults; a zero field is not a default.
type Config struct {
	// Advertise is the address at which other nodes reach this one's clients' port.
	Advertise string
	// Account executes events, and drops what a former leader has left of a schema change; without a user, neither is done.
	Account Account
	// LeaseReads must be set if Node answers reads by a lease: it is then asked again after the server has answered.
	LeaseReads bool
	// Timeout bounds the wait for a majority: of a read, and of a commit. SchemaTimeout bounds a schema change.
	Timeout       time.Duration
	SchemaTimeout time.Duration
	// LogSlower is how long a statement may take without a line in the log; 0: as long as it likes.
	LogSlower time.Duration
	// BarrierTimeout is how long a schema change waits for open transactions to end.
	BarrierTimeout time.Duration
	// GateTimeout is how long a transaction waits for a schema change to end.
	GateTimeout time.Duration
	// LockTimeout is how long a session may keep all others from writing by LOCK TABLES ... WRITE.
	LockTimeout time.Duration
	// EventTimeout is how long an event may be executed.
	EventTimeout time.Duration
	// HandshakeTimeout bounds the time up to the end of the login.
	HandshakeTimeout time.Duration
	// WriteTimeout is how long a client may take nothing of what is sent to it.
	WriteTimeout time.Duration
	// MaxConnections is how many clients are served at a time, and MaxPacket bounds what one may send at once.
	MaxConnections int
	MaxPacket      int
	// MaxClientRate is how many commands and statements a second one client may send; what is more waits. 0: any number.
	MaxClientRate int
	Logger        *slog.Logger

	// TLS is for clients, who must use it then unless TLSOptional is set; nil for none.
	TLS         *tls.Config
	TLSOptional bool
	// PeerServer and PeerClient are for clients that one node hands over to another: what the leader asks of the other, and
	// what that one asks of the leader. Both or neither.
	PeerServer, PeerClient *tls.Config
}

// NewConfig returns the defaults, to be completed with Advertise.
func NewConfig() Config {
	return Config{
		Timeout:          5 * time.Second,
		SchemaTimeout:    time.Hour,
		BarrierTimeout:   10 * time.Second,
		GateTimeout:      50 * time.Second, // as innodb_lock_wait_timeout
		LockTimeout:      10 * time.Minute,
		EventTimeout:     time.Hour,
		HandshakeTimeout: 10 * time.Second,
		WriteTimeout:     30 * time.Second,
		MaxConnections:   400,
		MaxPacket:        256 << 20,
		Logger:           slog.Default(),
	}
}

// Validate reports the first bad field, its value and what is expected.
func (c *Config) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Timeout", c.Timeout}, {"SchemaTimeout", c.SchemaTimeout}, {"BarrierTimeout", c.BarrierTimeout}, {"GateTimeout", c.GateTimeout},
		{"LockTimeout", c.LockTimeout}, {"EventTimeout", c.EventTimeout}, {"HandshakeTimeout", c.HandshakeTimeout}, {"WriteTimeout", c.WriteTimeout},
	} {
		if d.value < time.Millisecond {
			return fmt.Errorf("config: %s is %v, want at least 1ms", d.name, d.value)
		}
	}
	switch {
	case c.LogSlower < 0:
		return fmt.Errorf("config: LogSlower is %v, want 0 or more", c.LogSlower)
	case c.MaxConnections < 1:
		return fmt.Errorf("config: MaxConnections is %d, want at least 1", c.MaxConnections)
	case c.MaxPacket < maxLoginPacket:
		return fmt.Errorf("config: MaxPacket is %d, want at least %d", c.MaxPacket, maxLoginPacket)
	case c.MaxClientRate < 0:
		return fmt.Errorf("config: MaxClientRate is %d, want 0 or more", c.MaxClientRate)
	case c.Logger == nil:
		return errors.New("config: Logger is nil")
	case (c.PeerServer == nil) != (c.PeerClient == nil):
		return errors.New("config: PeerServer and PeerClient go together")
	case c.TLS != nil && c.PeerClient == nil:
		return errors.New("config: TLS is set without PeerClient: clients that are handed over to the leader would not be protected")
	}
	return nil
}
