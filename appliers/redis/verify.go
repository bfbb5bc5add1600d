package redis

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nexus-replication/nexus/raft"
)

// minVersion is the first major version with PEXPIRETIME, functions and SET ... GET as they are used here.
const minVersion = 7

// refuse returns a *raft.FatalError: nothing that is tried again would help.
func refuse(format string, args ...any) error {
	return &raft.FatalError{Err: fmt.Errorf(format, args...)}
}

// dial makes a connection and verifies everything about its server but the marker. The connection is interrupted by the
// end of ctx until release is called.
func (b *Backend) dial(ctx context.Context) (c *conn, release func() bool, err error) {
	c, release, err = connect(ctx, &b.cfg)
	if err != nil {
		return nil, nil, b.reached("connect to", err)
	}
	c.busy = b.Busy
	if err := b.verifyServer(c); err != nil {
		release()
		_ = c.Close()
		return nil, nil, b.reached("verify", err)
	}
	return c, release, nil
}

// reached is an error of what is done first with a server. Of what speaks another protocol it says what that means.
func (b *Backend) reached(what string, err error) error {
	var fatal *raft.FatalError
	switch {
	case errors.As(err, &fatal):
		return err
	case greetsAsMySQL(err):
		return refuse("backend %s is a server of MySQL or MariaDB, where a redis-server is wanted: correct -redisHost and -redisPort, or run mysql_repl for it", b.cfg.Addr)
	case errors.Is(err, errProtocol):
		err = fmt.Errorf("%w: is it a redis-server, and without TLS? See -redisHost, -redisPort and -redisTLS", err)
	}
	return fmt.Errorf("%s backend %s: %w", what, b.cfg.Addr, err)
}

// greetsAsMySQL reports whether what has come instead of RESP, or TLS, is the greeting of a server of MySQL's protocol: its length,
// of less than 256, in three bytes, its number and the version of the protocol, which happens to end a line.
func greetsAsMySQL(err error) bool {
	var came []byte
	var strange *strangeError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &strange):
		came = strange.begin
	case errors.As(err, &plain):
		came = plain.RecordHeader[:]
	}
	return len(came) > 1 && bytes.Equal(came[1:], []byte{0, 0, 0, 10})
}

func (b *Backend) verifyServer(c *conn) error {
	if err := c.learn(); err != nil {
		return err
	}
	if err := b.verifyKind(&c.server); err != nil {
		return err
	}
	switch {
	case c.server.role != "master":
		return refuse("backend %s is a replica of another server: run REPLICAOF NO ONE on it", b.cfg.Addr)
	case c.server.loading:
		return errLoading
	}
	_, err := c.one("SELECT", strconv.Itoa(b.cfg.MetadataDB))
	var refused *replyError
	if errors.As(err, &refused) && strings.Contains(refused.text, "out of range") {
		return refuse("backend %s has no database %d for -metadataDB: start it with databases %d or more", b.cfg.Addr, b.cfg.MetadataDB, b.cfg.MetadataDB+1)
	}
	return err
}

var errLoading = errors.New("backend is loading its dataset")

// verifyKind checks what does not change by itself while the server runs.
func (b *Backend) verifyKind(s *serverInfo) error {
	switch {
	case s.major() < minVersion:
		return refuse("backend %s is version %q: at least %d.0 is needed", b.cfg.Addr, s.version, minVersion)
	case s.cluster:
		return refuse("backend %s runs in cluster mode: set cluster-enabled no", b.cfg.Addr)
	case s.maxmemory != 0:
		return refuse("backend %s limits its memory to %d bytes, which would make it refuse or evict what other nodes keep: "+
			"run CONFIG SET maxmemory 0 on it", b.cfg.Addr, s.maxmemory)
	case s.databases < b.cfg.Databases:
		return refuse("backend %s has %d databases, where clients may use up to %d on other nodes: start it with databases %d",
			b.cfg.Addr, s.databases, b.cfg.Databases, b.cfg.Databases)
	}
	return nil
}

// required is what this package itself cannot do without.
var required = [...]string{
	"multi", "exec", "watch", "unwatch", "hello", "select", "set", "get", "eval", "unlink", "pexpiretime", "scan", "client",
	"config", "psync", "replconf", "replicaof", "flushall", "function",
}

// verifyCommands checks that the backend knows the commands that are needed under their own names.
func (b *Backend) verifyCommands(c *conn) error {
	want := make([]CommandArity, 0, len(required)+len(b.cfg.Require))
	for _, name := range required {
		want = append(want, CommandArity{Name: name})
	}
	want = append(want, b.cfg.Require...)
	commands := make([][]string, len(want))
	for i := range want {
		commands[i] = []string{"COMMAND", "INFO", want[i].Name}
	}
	replies, err := c.roundTrip(commands...)
	if err != nil {
		return fmt.Errorf("COMMAND INFO: %w", err)
	}
	for i, raw := range replies {
		if isError(raw) {
			return refuse("backend %s answers COMMAND INFO with %q: the commands it has cannot be checked", b.cfg.Addr, errorText(raw))
		}
		arity, known := commandArity(raw)
		if !known {
			return refuse("backend %s does not know the command %s: do not rename or disable it, or use a newer version",
				b.cfg.Addr, strings.ToUpper(want[i].Name))
		}
		if want[i].Arity != 0 && arity != want[i].Arity {
			return refuse("backend %s has the command %s with arity %d, where %d is known: this version of the backend is not supported",
				b.cfg.Addr, strings.ToUpper(want[i].Name), arity, want[i].Arity)
		}
	}
	return b.verifyHello(c)
}

// verifyHello checks that a transaction can change the protocol of its replies, as Apply has it do. Redis 7.0 always can,
// since nobody needs a permission for HELLO; another server would refuse every transaction with it, and stop its node.
func (b *Backend) verifyHello(c *conn) error {
	replies, err := c.roundTrip([]string{"MULTI"}, []string{"HELLO", "3"}, []string{"HELLO", "2"}, []string{"EXEC"})
	if err != nil {
		return fmt.Errorf("HELLO in a transaction: %w", err)
	}
	for _, raw := range replies {
		if isError(raw) {
			return refuse("backend %s answers HELLO in a transaction with %q: this version of the backend is not supported",
				b.cfg.Addr, errorText(raw))
		}
	}
	return nil
}

// commandArity takes the arity from a reply to COMMAND INFO for one name.
func commandArity(raw []byte) (arity int, known bool) {
	n, rest, ok := cutHead(raw, '*')
	if !ok || n != 1 {
		return 0, false
	}
	if n, rest, ok = cutHead(rest, '*'); !ok || n < 2 {
		return 0, false
	}
	if _, rest, ok = cutBulk(rest); !ok {
		return 0, false
	}
	v, _, ok := cutInteger(rest)
	return int(v), ok
}

// getMarker reads the position key; the connection is in the metadata database. With watch, a transaction on this
// connection fails from now on if anybody else writes the key before. (An earlier WATCH is forgotten with the changes
// it saw: taking over a backend that came back empty writes the key.)
func (b *Backend) getMarker(c *conn, watch bool) (value string, ok bool, err error) {
	if watch {
		for _, command := range [][]string{{"UNWATCH"}, {"WATCH", markerKey}} {
			if _, err := c.one(command...); err != nil {
				return "", false, err
			}
		}
	}
	raw, err := c.one("GET", markerKey)
	var refused *replyError
	if errors.As(err, &refused) && refused.class == "WRONGTYPE" {
		return "", false, refuse("backend %s: %s is not a string: another client wrote it. If the data of the backend may go, "+
			"run FLUSHALL and FUNCTION FLUSH on it and it will be filled again", b.cfg.Addr, markerKey)
	}
	if err != nil {
		return "", false, fmt.Errorf("read the position: %w", err)
	}
	text, ok, err := bulkText(raw)
	return string(text), ok, err
}

// checkMarker returns the position of a marker that belongs to this node.
func (b *Backend) checkMarker(value string) (raft.Position, error) {
	id, pos, err := parseMarker(value)
	own := b.id.Load()
	switch {
	case err != nil:
		return pos, refuse("backend %s: %w: if its data may go, run FLUSHALL and FUNCTION FLUSH on it and it will be filled again", b.cfg.Addr, err)
	case id.Cluster != own.Cluster:
		return pos, refuse("backend %s belongs to another cluster (%016x, this one is %016x): use an empty backend, or run FLUSHALL and FUNCTION FLUSH on it if its data may go",
			b.cfg.Addr, id.Cluster, own.Cluster)
	case id.Node != own.Node:
		return pos, refuse("backend %s belongs to node %016x of this cluster, this is node %016x: two nodes on one backend? Use one backend for each node, or run FLUSHALL and FUNCTION FLUSH on it if that node is gone",
			b.cfg.Addr, id.Node, own.Node)
	}
	return pos, nil
}

// claim marks an empty backend as this node's, with the zero position. Somebody else may be faster: the marker is to be
// read afterwards in any case.
func (b *Backend) claim(c *conn) error {
	if !c.server.empty(b.cfg.MetadataDB, 0) {
		return b.notEmpty(c)
	}
	marker := string(appendMarker(nil, *b.id.Load(), raft.Position{}))
	raw, err := c.one("SET", markerKey, marker, "NX")
	if err != nil {
		return fmt.Errorf("claim backend %s: %w", b.cfg.Addr, err)
	}
	if _, done, err := bulkText(raw); err != nil || !done {
		return err
	}
	// A client may have written between the look and the claim.
	if err := c.learn(); err != nil {
		return fmt.Errorf("claim backend %s: %w", b.cfg.Addr, err)
	}
	if c.server.empty(b.cfg.MetadataDB, 1) {
		return nil
	}
	if _, err := c.one("DEL", markerKey); err != nil {
		return fmt.Errorf("give backend %s back: %w", b.cfg.Addr, err)
	}
	return b.notEmpty(c)
}

func (b *Backend) notEmpty(c *conn) error {
	if err := b.otherDatabase(c); err != nil {
		return err
	}
	return refuse("backend %s holds data but no position of this cluster: its data is not in the log and would differ from that of other nodes. "+
		"Use an empty backend, or run FLUSHALL and FUNCTION FLUSH on it if its data may go, and load it again through a node", b.cfg.Addr)
}

// otherDatabase finds the position of a node in another database than this one keeps it in, or returns nil. c is of no
// more use then. An error of the server says nothing about that.
func (b *Backend) otherDatabase(c *conn) error {
	for _, db := range slices.Sorted(maps.Keys(c.server.keys)) {
		if db == b.cfg.MetadataDB {
			continue
		}
		if _, err := c.one("SELECT", strconv.Itoa(db)); err != nil {
			return nil //nolint:nilerr // there is another error to be told
		}
		raw, err := c.one("GET", markerKey)
		if err != nil {
			continue // of another type, for instance
		}
		text, _, err := bulkText(raw)
		if err != nil {
			return err
		}
		if _, _, err := parseMarker(string(text)); err == nil {
			return refuse("backend %s has the position of a node in database %d, and this node keeps it in %d: start it with -metadataDB %d, as before and as all nodes of the cluster. "+
				"Only if the data may go, run FLUSHALL and FUNCTION FLUSH on the backend", b.cfg.Addr, db, b.cfg.MetadataDB, db)
		}
	}
	if _, err := c.one("SELECT", strconv.Itoa(b.cfg.MetadataDB)); err != nil {
		return err
	}
	return nil
}
