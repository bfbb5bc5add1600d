package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// ScriptsConfig of Scripts. A zero field is not a default.
type ScriptsConfig struct {
	// Databases is the number of databases of the backend, the reserved one included.
	Databases int
	// ReservedDB is the database that statements cannot choose.
	ReservedDB int
}

type scriptBackend interface {
	scriptReader
	NextDue() (deadlineMillis int64, ok bool)
}

// Scripts runs Lua statements on the whole cluster (Save) or as a linearizable read (Load), in the way of EVAL and
// EVAL_RO: see package script.
type Scripts struct {
	host    *scriptHost
	backend scriptBackend
	cfg     ScriptsConfig
}

// NewScripts returns Scripts that propose to and read under r; loads are run on b.
func NewScripts(r scriptReplicator, b scriptBackend, cfg ScriptsConfig) *Scripts {
	return &Scripts{host: newScriptHost(r, b, cfg.Databases, cfg.ReservedDB), backend: b, cfg: cfg}
}

// ScriptError is the answer to a statement that was not run because of what was asked for (InvalidArgument), or that was
// run and ended in an error. Redis does not undo what a statement wrote before its error.
type ScriptError struct {
	Text    string
	Invalid bool
}

func (e *ScriptError) Error() string { return e.Text }

// InvalidArgument reports whether the request itself was wrong.
func (e *ScriptError) InvalidArgument() bool { return e.Invalid }

func invalidScript(format string, args ...any) error {
	return &ScriptError{Text: fmt.Sprintf(format, args...), Invalid: true}
}

// Save runs the statement on every replica at the same place of the log, and returns what it returned here.
func (s *Scripts) Save(ctx context.Context, statement []byte, args map[string]string) ([]byte, error) {
	db, err := s.database(statement, args)
	if err != nil {
		return nil, err
	}
	if err := s.host.prepare(ctx); err != nil {
		return nil, err
	}
	call := s.host.lib.Once(statement, db, false)
	out, err := s.host.rep.Propose(ctx, [][]byte{appliers.AppendOp(nil, scriptItem(call, db))})
	if err != nil {
		return nil, err
	}
	if len(out.Replies) != 1 {
		return nil, fmt.Errorf("%w: %d replies to one statement", raft.ErrOutcomeUnknown, len(out.Replies))
	}
	if err := out.Replies[0].Err; err != nil {
		return nil, fmt.Errorf("the statement was executed: %w", err)
	}
	reply, err := call.Reply(nil, out.Replies[0].Data, false)
	if err != nil {
		return nil, err
	}
	return replyText(reply)
}

// Load runs the statement on the local backend, which must not write, after everything acknowledged before the call.
func (s *Scripts) Load(ctx context.Context, statement []byte, args map[string]string) ([]byte, error) {
	db, err := s.database(statement, args)
	if err != nil {
		return nil, err
	}
	if err := s.host.prepare(ctx); err != nil {
		return nil, err
	}
	// Nobody knows which keys a statement will meet. An empty proposal has all that is due deleted first.
	if next, ok := s.backend.NextDue(); ok && next <= failpoint.Now().UnixMilli() {
		if _, err := s.host.rep.Propose(ctx, nil); err != nil {
			return nil, fmt.Errorf("%w: expire keys: %w", raft.ErrNotDone, err)
		}
	}
	call := s.host.lib.Once(statement, db, true)
	var reply []byte
	err = s.host.rep.Read(ctx, func(ctx context.Context) error {
		request := call.Stamped(failpoint.Now().UnixMilli(), rand.Int32())
		replies, done, err := s.backend.ReadAs(ctx, appliers.RESP2, db, request, 1)
		if err == nil && done == 0 {
			err = errLargeReply
		}
		reply = replies
		return err
	})
	if err != nil {
		return nil, err
	}
	if reply, err = call.Reply(nil, reply, false); err != nil {
		return nil, err
	}
	return replyText(reply)
}

var errLargeReply = errors.New("the reply is too large to be kept")

// database checks a request and returns the database it names; 0 if it names none.
func (s *Scripts) database(statement []byte, args map[string]string) (int, error) {
	if len(statement) == 0 {
		return 0, invalidScript("the statement is empty, want Lua such as: return redis.call('get', 'key')")
	}
	for name := range args {
		if name != "db.index" {
			return 0, invalidScript("argument %q is not known, want db.index", name)
		}
	}
	value, ok := args["db.index"]
	if !ok {
		return 0, nil
	}
	db, err := strconv.ParseUint(value, 10, 31)
	if err != nil || int(db) >= s.cfg.Databases {
		return 0, invalidScript("db.index: %q is no database, want a number from 0 to %d", value, s.cfg.Databases-1)
	}
	if int(db) == s.cfg.ReservedDB {
		return 0, invalidScript("db.index: database %d is reserved for the position in the log, want another", db)
	}
	return int(db), nil
}

// replyText turns a reply into text as the predecessor of this program did, which printed Go values: OK, 1, [a [b c]],
// <nil>. An error reply is returned as an error.
func replyText(reply []byte) ([]byte, error) {
	if len(reply) > 0 && reply[0] == '-' {
		return nil, replyError(reply)
	}
	text, rest, err := appendReplyText(nil, reply)
	if err == nil && len(rest) != 0 {
		err = errBadReply
	}
	return text, err
}

func appendReplyText(dst, reply []byte) (text, rest []byte, err error) {
	kind, n, next, ok := replyHead(reply, 0)
	if !ok {
		return dst, nil, errBadReply
	}
	line, rest := reply[1:next-2], reply[next:]
	switch {
	case kind == '+', kind == '-', kind == ':':
		return append(dst, line...), rest, nil
	case n < 0:
		return append(dst, "<nil>"...), rest, nil
	case kind == '$':
		if n > int64(len(rest))-2 {
			return dst, nil, errBadReply
		}
		return append(dst, rest[:n]...), rest[n+2:], nil
	}
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		if dst, rest, err = appendReplyText(dst, rest); err != nil {
			return dst, nil, err
		}
	}
	return append(dst, ']'), rest, nil
}

// scriptSuffix is what Redis adds to the errors of scripts. The SHA of a statement says nothing.
var scriptSuffix = regexp.MustCompile(` script: [0-9a-f]{40}, on @?user_[a-z]+:[0-9]+\.?$`)

// notNow are the first words of errors that come from the state of the server, not from the statement.
var notNow = []string{"LOADING ", "BUSY ", "MASTERDOWN ", "NOAUTH ", "NOPERM "}

func replyError(reply []byte) error {
	text := strings.TrimRight(string(reply[1:]), "\r\n")
	for _, word := range notNow {
		if strings.HasPrefix(text, word) {
			return fmt.Errorf("%w: backend: %s", raft.ErrNotDone, text)
		}
	}
	text = scriptSuffix.ReplaceAllString(text, "")
	return &ScriptError{Text: text, Invalid: strings.HasPrefix(text, "ERR Error compiling script")}
}
