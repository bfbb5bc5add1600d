package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/guard"
	"github.com/nexus-replication/nexus/raft"
)

// Config of a Server. NewConfig returns the defaults; a zero field is not a default.
type Config struct {
	// Databases is the number of databases of the backend, the reserved one included.
	Databases int
	// ReservedDB is the database that the applier keeps its position in. To clients it does not exist.
	ReservedDB int
	// Version of this program, which INFO tells.
	Version string
	// Password that clients must give with AUTH. Empty: none is asked for.
	Password string
	// UsersFile has the users of clients, in the form of Redis' aclfile, and takes the place of Password.
	UsersFile string
	// Timeout bounds one phase of a batch: a proposal, or a read barrier with the reads behind it.
	Timeout time.Duration
	// LogSlower is how long commands that came together may take without a line in the log; 0: as long as they like.
	LogSlower time.Duration
	// Limits bound what a client may send, and how long it may take to read its replies.
	Limits guard.Limits
	// HandshakeTimeout is how long a client may take to log in, where it must.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a client may ask for nothing, unless it is subscribed; 0: as long as it likes.
	IdleTimeout time.Duration
	// MaxClientRate is how many commands a second one client may send; what is more waits. 0: any number.
	MaxClientRate int

	// MaxPipelineCommands and MaxPipelineBytes bound what consecutive writes of a pipeline are proposed in one call,
	// and what consecutive reads are sent in one request.
	MaxPipelineCommands int
	MaxPipelineBytes    int
	// MaxTransactionBytes bounds the commands queued between MULTI and EXEC.
	MaxTransactionBytes int

	// Arrivals is what the Sequencer tells the Server about what was applied. Both get the same.
	Arrivals *Arrivals
	// Verifier answers NEXUS VERIFY. Without one it is refused.
	Verifier Verifier

	Logger *slog.Logger
}

// Verifier compares the data of all members of the cluster.
type Verifier interface {
	Verify(ctx context.Context) (raft.VerifyReport, error)
}

// NewConfig returns the defaults.
func NewConfig() Config {
	return Config{
		Databases:           16,
		ReservedDB:          13,
		Version:             "dev",
		Timeout:             5 * time.Second,
		Limits:              guard.DefaultLimits(),
		HandshakeTimeout:    10 * time.Second,
		MaxPipelineCommands: 4096,
		MaxPipelineBytes:    1 << 20,
		MaxTransactionBytes: 64 << 20,
		Arrivals:            NewArrivals(),
		Logger:              slog.Default(),
	}
}

// Validate reports the first bad field, its value and what is expected.
func (c *Config) Validate() error {
	if c.Databases < 2 {
		return fmt.Errorf("config: Databases is %d, want at least 2: one is reserved", c.Databases)
	}
	if c.ReservedDB < 0 || c.ReservedDB >= c.Databases {
		return fmt.Errorf("config: ReservedDB is %d, want 0 to %d", c.ReservedDB, c.Databases-1)
	}
	if c.Timeout < time.Millisecond {
		return fmt.Errorf("config: Timeout is %v, want at least 1ms", c.Timeout)
	}
	if c.HandshakeTimeout < time.Millisecond {
		return fmt.Errorf("config: HandshakeTimeout is %v, want at least 1ms", c.HandshakeTimeout)
	}
	if c.LogSlower < 0 || c.IdleTimeout < 0 {
		return fmt.Errorf("config: LogSlower is %v and IdleTimeout %v, want 0 or more", c.LogSlower, c.IdleTimeout)
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"MaxPipelineCommands", c.MaxPipelineCommands},
		{"MaxPipelineBytes", c.MaxPipelineBytes},
		{"MaxTransactionBytes", c.MaxTransactionBytes},
	} {
		if n.value < 1 {
			return fmt.Errorf("config: %s is %d, want at least 1", n.name, n.value)
		}
	}
	if err := c.Limits.Validate(); err != nil {
		return fmt.Errorf("config: Limits: %w", err)
	}
	if c.Arrivals == nil {
		return errors.New("config: Arrivals is nil")
	}
	if c.Logger == nil {
		return errors.New("config: Logger is nil")
	}
	return nil
}
