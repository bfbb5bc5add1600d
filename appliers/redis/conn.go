package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	readBufferSize = 64 << 10
	// writeStep is what is written under one deadline: a large value may take as long as it makes progress.
	writeStep = 1 << 20
)

// conn is a connection to the backend that was verified when it was made.
type conn struct {
	net.Conn
	r *replyReader
	// timeout is what a single read or write may take; 0 where a watchdog looks at progress instead.
	timeout  time.Duration
	progress atomic.Uint64 // reads, and steps of large writes, that got on
	server   serverInfo
	id       int64 // CLIENT ID
	// busy, if it is not nil, reports that the server may take longer than timeout.
	busy func() bool
}

// serverInfo is what a connection learns about its server.
type serverInfo struct {
	version string
	runID   string
	// process is the number of its process, as the server itself knows it, and executable what it runs.
	process    int
	executable string
	role       string
	loading    bool
	cluster    bool
	maxmemory  uint64
	clients    int
	// maxclients is 0 if the server does not tell.
	maxclients int
	libraries  int // other than those of a proxy: see LibraryPrefix
	databases  int
	child      bool  // a process of its own saves, rewrites or sends the data
	offset     int64 // of the replication stream

	// Of a replica:
	masterHost string
	masterPort string
	linkUp     bool
	syncing    bool

	keys map[int]keyspace
}

type keyspace struct{ keys, expires int64 }

// empty tells whether the server holds nothing but own keys in the metadata database.
func (s *serverInfo) empty(metadataDB int, own int64) bool {
	for db, k := range s.keys {
		if db != metadataDB && k.keys > 0 {
			return false
		}
	}
	return s.libraries == 0 && s.keys[metadataDB].keys <= own
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		if c.timeout > 0 {
			if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
				return 0, err
			}
		}
		n, err := c.Conn.Read(p)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.busy != nil && c.busy() {
			continue
		}
		c.progress.Add(1)
		return n, err
	}
}

func (c *conn) Write(p []byte) (int, error) {
	written := 0
	for {
		part := p[written:min(written+writeStep, len(p))]
		if c.timeout > 0 {
			if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
				return written, err
			}
		}
		n, err := c.Conn.Write(part)
		written += n
		if len(p) > writeStep {
			// Small writes end in the socket's buffer also when nobody reads there.
			c.progress.Add(1)
		}
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// roundTrip sends commands together and returns the raw reply of each.
func (c *conn) roundTrip(commands ...[]string) ([][]byte, error) {
	var request []byte
	for _, args := range commands {
		request = appendStrings(request, args...)
	}
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	replies := make([][]byte, len(commands))
	for i := range replies {
		raw, _, err := c.r.keep(nil, maxLine)
		if err != nil {
			return nil, err
		}
		replies[i] = raw
	}
	return replies, nil
}

// one is roundTrip for one command whose error reply is an error.
func (c *conn) one(args ...string) ([]byte, error) {
	replies, err := c.roundTrip(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	if isError(replies[0]) {
		return nil, &replyError{command: args[0], class: errorClass(replies[0]), text: errorText(replies[0])}
	}
	return replies[0], nil
}

// speak changes the protocol of the replies.
func (c *conn) speak(p Protocol) error {
	_, err := c.one("HELLO", strconv.Itoa(int(p)))
	return err
}

// replyError is an error that the backend answered to a command of this package's own.
type replyError struct{ command, class, text string }

func (e *replyError) Error() string {
	return fmt.Sprintf("%s: backend answered %q", e.command, e.text)
}

// Is makes BUSY known to who would wait for that.
func (e *replyError) Is(target error) bool { return target == errBusy && e.class == "BUSY" }

// connect makes a connection and logs in. The end of ctx interrupts it, and everything done on the connection
// until release is called.
func connect(ctx context.Context, cfg *Config) (c *conn, release func() bool, err error) {
	nc, err := dial(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	c = &conn{Conn: nc, timeout: cfg.ReplyTimeout}
	c.r = newReplyReader(c, readBufferSize)
	release = context.AfterFunc(ctx, func() { _ = nc.Close() })
	if cfg.Password == "" {
		return c, release, nil
	}
	auth := []string{"AUTH", cfg.Username, cfg.Password}
	if cfg.Username == "" {
		auth = []string{"AUTH", cfg.Password}
	}
	replies, err := c.roundTrip(auth)
	if err == nil && isError(replies[0]) {
		err = &loginError{errorText(replies[0])}
	}
	if err != nil {
		release()
		_ = nc.Close()
		return nil, nil, fmt.Errorf("log in: %w", err)
	}
	return c, release, nil
}

// loginError says that the backend does not take the credentials.
type loginError struct{ text string }

func (e *loginError) Error() string {
	return fmt.Sprintf("backend answered %q: see -redisPassword and -redisUsername", e.text)
}

// learn asks the server who it is.
func (c *conn) learn() error {
	replies, err := c.roundTrip([]string{"INFO"}, []string{"CLIENT", "ID"}, []string{"CONFIG", "GET", "databases"})
	if err != nil {
		return err
	}
	for i, name := range []string{"INFO", "CLIENT ID", "CONFIG GET"} {
		if !isError(replies[i]) {
			continue
		}
		if errorClass(replies[i]) == "NOAUTH" {
			return &loginError{errorText(replies[i])}
		}
		return &replyError{command: name, class: errorClass(replies[i]), text: errorText(replies[i])}
	}
	text, _, err := bulkText(replies[0])
	if err != nil {
		return fmt.Errorf("INFO: %w", err)
	}
	c.server = parseInfo(text)
	if err := c.learnLibraries(); err != nil {
		return err
	}
	id, _, ok := cutInteger(replies[1])
	if !ok {
		return fmt.Errorf("CLIENT ID: %w: %.40q", errProtocol, replies[1])
	}
	c.id = id
	if value, ok := configValue(replies[2]); ok {
		c.server.databases, _ = strconv.Atoi(value)
	}
	if c.server.databases < 1 {
		return fmt.Errorf("CONFIG GET databases: backend answered %.80q", replies[2])
	}
	return nil
}

// learnLibraries takes the libraries that a proxy keeps there off the count: FLUSHALL spares them, and they are no data. A
// server that does not list its libraries keeps them all.
func (c *conn) learnLibraries() error {
	if c.server.libraries == 0 {
		return nil
	}
	replies, err := c.roundTrip([]string{"FUNCTION", "LIST", "LIBRARYNAME", LibraryPrefix + "*"})
	if err != nil {
		return fmt.Errorf("FUNCTION LIST: %w", err)
	}
	if own, _, ok := cutHead(replies[0], '*'); ok {
		c.server.libraries -= own
	}
	return nil
}

// parseInfo takes what is needed from the text of INFO. A line that is missing leaves its field zero.
func parseInfo(text []byte) serverInfo {
	s := serverInfo{keys: make(map[int]keyspace)}
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		if !ok {
			continue
		}
		v := string(value)
		switch string(name) {
		case "redis_version":
			s.version = v
		case "run_id":
			s.runID = v
		case "process_id":
			s.process, _ = strconv.Atoi(v)
		case "executable":
			s.executable = v
		case "role":
			s.role = v
		case "loading", "async_loading":
			s.loading = s.loading || v != "0"
		case "rdb_bgsave_in_progress", "aof_rewrite_in_progress", "module_fork_in_progress":
			s.child = s.child || v != "0"
		case "master_repl_offset":
			s.offset, _ = strconv.ParseInt(v, 10, 64)
		case "master_host":
			s.masterHost = v
		case "master_port":
			s.masterPort = v
		case "master_link_status":
			s.linkUp = v == "up"
		case "master_sync_in_progress":
			s.syncing = v != "0"
		case "cluster_enabled":
			s.cluster = v != "0"
		case "maxmemory":
			s.maxmemory, _ = strconv.ParseUint(v, 10, 64)
		case "connected_clients":
			s.clients, _ = strconv.Atoi(v)
		case "maxclients":
			s.maxclients, _ = strconv.Atoi(v)
		case "number_of_libraries":
			s.libraries, _ = strconv.Atoi(v)
		default:
			db, err := strconv.Atoi(string(bytes.TrimPrefix(name, []byte("db"))))
			if err != nil || !bytes.HasPrefix(name, []byte("db")) {
				continue
			}
			var k keyspace
			if n, _ := fmt.Sscanf(v, "keys=%d,expires=%d", &k.keys, &k.expires); n == 2 {
				s.keys[db] = k
			}
		}
	}
	return s
}

// major returns the first number of the version; 0 if there is none.
func (s *serverInfo) major() int {
	first, _, _ := bytes.Cut([]byte(s.version), []byte("."))
	n, _ := strconv.Atoi(string(first))
	return n
}

// isLost tells whether err means that the other side closed or reset the connection, as opposed to being silent.
func isLost(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// writev writes a few small buffers in one system call.
func (c *conn) writev(parts net.Buffers) error {
	if c.timeout > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return err
		}
	}
	_, err := parts.WriteTo(c.Conn)
	return err
}
