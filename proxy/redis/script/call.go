package script

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// Error texts of Redis.
const (
	errNotInt     = "ERR value is not an integer or out of range"
	errManyKeys   = "ERR Number of keys can't be greater than number of args"
	errFewKeys    = "ERR Number of keys can't be negative"
	errBadKeys    = "ERR Bad number of keys provided"
	errNoScript   = "NOSCRIPT No matching script. Please use EVAL."
	errFlushMode  = "ERR SCRIPT FLUSH only support SYNC|ASYNC option"
	errFlushFuncs = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option"
)

// Call is a client's command as a call of the Library.
type Call struct {
	// Cmd is the call without time and seed: see Stamp.
	Cmd []byte
	// Stores is set for calls that make a script known to all replicas.
	Stores bool
	// Body is the script that the command carries. SHA is its SHA1, or the one that the command carries instead.
	Body []byte
	SHA  string

	reply    replyKind
	function bool
	// list is what FUNCTION LIST was asked for.
	list listOptions
}

// Writes reports whether the call may write, and is made by FCALL.
func (c *Call) Writes() bool {
	return bytes.Contains(c.Cmd[:min(len(c.Cmd), 24)], []byte("\r\nFCALL\r\n"))
}

// IsFunction reports whether the call runs a function of a library, and not a script.
func (c *Call) IsFunction() bool { return c.function }

// Caller is whose call it is.
type Caller struct {
	// DB is the database that the client has selected.
	DB int
	// Rights is what its user may do, in the words of package acl; "" for everything.
	Rights string
}

// where is the argument that carries the caller.
func (c Caller) where() []byte {
	text := strconv.AppendInt(nil, int64(c.DB), 10)
	if c.Rights != "" {
		text = append(append(text, '\n'), c.Rights...)
	}
	return text
}

// Build returns the call for a command, named as in the policy table. errText is the error that Redis gives without
// looking at any data.
func (l *Library) Build(name string, args [][]byte, caller Caller) (c *Call, errText string) {
	db := caller.DB
	switch name {
	case "eval", "eval_ro", "eval_try":
		return l.eval(name, args, caller)
	case "evalsha", "evalsha_ro", "evalsha_try":
		return l.evalsha(name, args, caller)
	case "fcall", "fcall_ro", "fcall_try":
		return l.fcall(name, args, caller)
	case "script|load":
		if errText := checkSource(args[2]); errText != "" {
			return nil, errText
		}
		return l.LoadScript(args[2], db), ""
	case "script|exists":
		return l.manage("script_exists", db, nil, args[2:]...), ""
	case "script|flush":
		if !isFlush(args) {
			return nil, errFlushMode
		}
		return l.manage("script_flush", db, nil), ""
	case "function|delete":
		return l.manage("function_delete", db, args[2]), ""
	case "function|flush":
		if len(args) > 3 {
			return nil, wrongFunction(args)
		}
		if !isFlush(args) {
			return nil, errFlushFuncs
		}
		return l.manage("function_flush", db, nil), ""
	case "function|load":
		return l.functionLoad(args, db)
	case "function|restore":
		return l.functionRestore(args, db)
	case "function|list":
		return l.functionList(args, db)
	case "function|dump":
		return l.listing(replyDump, db), ""
	case "function|stats":
		return l.listing(replyStats, db), ""
	}
	return nil, "ERR nexus: '" + name + "' is no command of scripts"
}

func isFlush(args [][]byte) bool {
	return len(args) == 2 || len(args) == 3 && (bytes.EqualFold(args[2], []byte("sync")) || bytes.EqualFold(args[2], []byte("async")))
}

// Once is a call of a script in db that is not made known; readOnly for one that runs on one backend only.
func (l *Library) Once(body []byte, db int, readOnly bool) *Call {
	verb := "once"
	if readOnly {
		verb = "once_ro"
	}
	return &Call{Cmd: l.call(verb, [][]byte{[]byte("0")}, body, Caller{DB: db}), reply: replyScript}
}

// PassScript makes a script known that a client has run, for as long as there is room.
func (l *Library) PassScript(body []byte, db int) *Call {
	c := l.manage("script_pass", db, body)
	c.Body, c.SHA, c.Stores = body, SHA(body), true
	return c
}

// LoadScript is SCRIPT LOAD.
func (l *Library) LoadScript(body []byte, db int) *Call {
	c := l.manage("script_load", db, body)
	c.Body, c.SHA, c.Stores = body, SHA(body), true
	return c
}

// maxSource bounds the source of a script or library. Before it runs for the first time every replica reads it token by token, at
// some microseconds for each byte, in which the backend does nothing else.
const maxSource = 1 << 20

func checkSource(code []byte) (errText string) {
	if len(code) <= maxSource {
		return ""
	}
	return fmt.Sprintf("ERR nexus: a script of %d bytes is too large, the limit is %d: pass data as arguments", len(code), maxSource)
}

func (l *Library) eval(verb string, args [][]byte, caller Caller) (*Call, string) {
	if errText := checkSource(args[1]); errText != "" {
		return nil, errText
	}
	if errText := checkKeys(args, errNotInt); errText != "" {
		return nil, errText
	}
	digest := SHA(args[1])
	return &Call{
		Cmd: l.call(verb, args[2:], args[1], caller), reply: replyScript,
		Body: args[1], SHA: digest, Stores: verb == "eval",
	}, ""
}

func (l *Library) evalsha(verb string, args [][]byte, caller Caller) (*Call, string) {
	if len(args[1]) != 2*sha1.Size {
		return nil, errNoScript
	}
	if errText := checkKeys(args, errNotInt); errText != "" {
		return nil, errText
	}
	digest := bytes.ToLower(args[1])
	return &Call{
		Cmd: l.call(verb, args[2:], args[1], caller), reply: replyScript, SHA: string(digest),
	}, ""
}

func (l *Library) fcall(verb string, args [][]byte, caller Caller) (*Call, string) {
	if errText := checkKeys(args, errBadKeys); errText != "" {
		return nil, errText
	}
	return &Call{Cmd: l.call(verb, args[2:], args[1], caller), reply: replyScript, function: true}, ""
}

// checkKeys checks the number of keys at position 2.
func checkKeys(args [][]byte, notInt string) (errText string) {
	n, err := strconv.ParseInt(string(args[2]), 10, 64)
	switch {
	case err != nil || strconv.FormatInt(n, 10) != string(args[2]):
		return notInt
	case n > int64(len(args)-3):
		return errManyKeys
	case n < 0:
		return errFewKeys
	}
	return ""
}

// call encodes a call. rest begins with the number of keys.
func (l *Library) call(verb string, rest [][]byte, what []byte, caller Caller) []byte {
	args := make([][]byte, 0, len(rest)+4)
	args = append(args, []byte("FCALL"), []byte(l.function(verb)))
	if isReadOnly(verb) {
		args[0] = []byte("FCALL_RO")
	}
	args = append(args, rest...)
	args = append(args, what, caller.where())
	return backend.AppendCommand(nil, args...)
}

func isReadOnly(verb string) bool {
	switch verb {
	case "eval_ro", "evalsha_ro", "once_ro", "fcall_ro", "script_exists", "function_list", "eval_try", "evalsha_try", "fcall_try":
		return true
	}
	return false
}

// manage is a call that runs nothing of a client's.
func (l *Library) manage(verb string, db int, what []byte, args ...[]byte) *Call {
	return &Call{Cmd: l.call(verb, append([][]byte{[]byte("0")}, args...), what, Caller{DB: db}), reply: replyScript}
}

// SHA is the SHA1 by which clients call a script.
func SHA(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}

// IsCall reports whether args, a command of the log, wants Stamp.
func IsCall(args [][]byte) bool {
	return len(args) > 2 && (bytes.EqualFold(args[0], []byte("FCALL")) || bytes.EqualFold(args[0], []byte("FCALL_RO"))) &&
		bytes.HasPrefix(args[1], []byte(backend.LibraryPrefix))
}

// Stamped is a call that is not logged, with a time in milliseconds and a seed.
func (c *Call) Stamped(now int64, seed int32) []byte {
	args, err := backend.ParseCommand(c.Cmd, nil)
	if err != nil {
		panic(err) // Build has made it
	}
	return Stamp(args, now, seed)
}

// Stamp returns a call with the leader's time in milliseconds and a seed.
func Stamp(args [][]byte, now int64, seed int32) []byte {
	var numbers [2][24]byte
	args = append(args[:len(args):len(args)],
		strconv.AppendInt(numbers[0][:0], now, 10), strconv.AppendInt(numbers[1][:0], int64(seed), 10))
	return backend.AppendCommand(nil, args...)
}
