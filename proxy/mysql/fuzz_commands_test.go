package mysql

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// obedient is a backend whose server lets everybody in and answers each command in its form: a query with three zeros,
// what is prepared with as many parameters as it has question marks, anything else with OK.
type obedient struct{ serverless }

// serverless is a backend that has nothing but its server.
type serverless struct{}

func (serverless) IsOwnAccount(string) bool                                   { return false }
func (serverless) TLS() *tls.Config                                           { return nil }
func (serverless) HasSequences() bool                                         { return false }
func (serverless) Sequences(uint64) [][]byte                                  { return nil }
func (serverless) Interrupt(context.Context, []uint64) error                  { return nil }
func (serverless) Disconnect(context.Context, []uint64) error                 { return nil }
func (serverless) EndHoldups(context.Context) error                           { return nil }
func (serverless) Address(uint64) string                                      { return "" }
func (serverless) Version() string                                            { return "10.11.0" }
func (serverless) Programs(context.Context) ([]appliers.StoredProgram, error) { return nil, nil }
func (serverless) SchemaChanges() uint64                                      { return 0 }
func (serverless) Owes() bool                                                 { return false }
func (serverless) Settle(uint64)                                              {}
func (serverless) Events(context.Context) ([]appliers.Event, int, error)      { return nil, 0, nil }
func (serverless) MakeProcedure(context.Context, *appliers.Event) (string, error) {
	return "", errors.New("not now")
}
func (serverless) DropProcedure(context.Context, string, string) error { return errors.New("not now") }
func (serverless) TryAltering(context.Context, []string, string, func(string) string) error {
	return errors.New("no server")
}
func (serverless) TryView(context.Context, []string, func(string) string) error {
	return errors.New("no server")
}

func (serverless) MakeStandIn(context.Context, *appliers.Procedure, string, string) error {
	return errors.New("not now")
}
func (serverless) Row(context.Context, string) ([]string, error) { return nil, errors.New("not now") }
func (serverless) Steer(context.Context, uint64) (*appliers.Steering, error) {
	return nil, errors.New("not now")
}
func (serverless) Begin(uint64, appliers.Session) (*appliers.Transaction, error) {
	return nil, errors.New("not now")
}

func (obedient) Dial(context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		c := wire.NewConn(there, 1<<20)
		if answerAll(c, greetingPacket()) != nil {
			return
		}
		if _, err := c.ReadPacket(); err != nil || answerAll(c, okPacket) != nil {
			return
		}
		for {
			p, err := c.ReadPacket()
			if err != nil || len(p) == 0 || p[0] == wire.ComQuit || answerAll(c, answersTo(p)...) != nil {
				return
			}
		}
	}()
	return here, nil
}

var (
	okPacket  = []byte{wire.HeaderOK, 0, 0, 2, 0, 0, 0}
	eofPacket = []byte{wire.HeaderEOF, 0, 0, 2, 0}
)

func answersTo(p []byte) [][]byte {
	column := append([]byte("\x03def\x00\x00\x00\x01a\x00\x0c\x21\x00"), 1, 0, 0, 0, 253, 0, 0, 0, 0, 0)
	switch p[0] {
	case wire.ComQuery:
		text := bytes.ToUpper(p[1:])
		if _, question, ok := bytes.Cut(text, []byte(" FOR ")); ok && bytes.HasPrefix(text, []byte("SET STATEMENT")) {
			text = question
		}
		if bytes.HasPrefix(text, []byte("SELECT")) || bytes.HasPrefix(text, []byte("SHOW")) {
			return [][]byte{{5}, column, column, column, column, column, eofPacket, []byte("\x010\x010\x010\x010\x010"), eofPacket}
		}
	case wire.ComStmtPrepare:
		parameters := bytes.Count(p, []byte("?"))
		answers := [][]byte{{0, 1, 0, 0, 0, 0, 0, byte(parameters), byte(parameters >> 8), 0, 0, 0}}
		for range parameters {
			answers = append(answers, column)
		}
		if parameters > 0 {
			answers = append(answers, eofPacket)
		}
		return answers
	case wire.ComStmtClose, wire.ComStmtSendLongData:
		return nil
	case wire.ComStatistics:
		return [][]byte{[]byte("Uptime: 1")}
	case wire.ComFieldList, wire.ComStmtFetch, wire.ComSetOption:
		return [][]byte{eofPacket}
	}
	return [][]byte{okPacket}
}

func answerAll(c *wire.Conn, packets ...[]byte) error {
	for _, p := range packets {
		if err := c.WritePacket(p); err != nil {
			return err
		}
	}
	return c.Flush()
}

// unsure is a leader whose proposals fail.
type unsure struct{ alwaysLeader }

func (unsure) Propose(context.Context, [][]byte) (raft.Outcome, error) {
	return raft.Outcome{}, raft.ErrNotDone
}

// FuzzCommands lets a client that has logged in send two commands of any bytes. The node must not crash, nor keep the
// connection when the client is gone.
func FuzzCommands(f *testing.F) {
	command := func(kind byte, rest string) []byte { return append([]byte{kind}, rest...) }
	prepared := command(wire.ComStmtPrepare, "SELECT ?, ?")
	f.Add(prepared, command(wire.ComStmtExecute, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\xfd\x00\xfd\x00\x01a\x01b"))
	f.Add(prepared, command(wire.ComStmtExecute, "\xff\xff\xff\xff\x05\x01\x00\x00\x00\x03\x00"))
	f.Add(prepared, command(wire.ComStmtSendLongData, "\x01\x00\x00\x00\x00\x00xyz"))
	f.Add(prepared, command(wire.ComStmtFetch, "\x01\x00\x00\x00\x05\x00\x00\x00"))
	f.Add(prepared, command(wire.ComStmtClose, "\x01\x00\x00\x00"))
	f.Add(prepared, command(wire.ComStmtReset, "\x01"))
	for _, text := range []string{
		"SELECT 1", "BEGIN; INSERT INTO t VALUES (1); COMMIT", "SET autocommit=0, @a='x'", "PREPARE s FROM 'SELECT ?'", "EXECUTE s USING @a",
		"EXECUTE IMMEDIATE CONCAT('SEL', 'ECT 1')", "KILL QUERY 7", "SHOW WARNINGS", "SET GLOBAL max_connections=1+1", "LOCK TABLES t READ", "CREATE TABLE t (a INT)",
		"SELECT NEXTVAL(s)", "SELECT GET_LOCK('a', 1)", "USE mysql", "/*!50000 SELECT */ 1", "SELECT '\\",
	} {
		f.Add(command(wire.ComQuery, text), command(wire.ComQuery, text))
	}
	for kind := range byte(0x20) {
		f.Add(command(kind, ""), command(kind, "\x01\x00\x00\x00\x01\x00"))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if len(first)+len(second) > 1<<16 {
			return
		}
		cfg := NewConfig()
		cfg.Logger = slog.New(slog.DiscardHandler)
		cfg.Timeout, cfg.BarrierTimeout, cfg.GateTimeout = time.Second, time.Second, time.Second
		s, err := New(cfg, unsure{}, obedient{})
		if err != nil {
			t.Fatal(err)
		}
		here, served := serveOnPipe(s)
		client := wire.NewConn(here, 1<<24)
		if !logIn(client) {
			t.Fatal("the login was refused")
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			for {
				if _, err := client.ReadPacket(); err != nil {
					return
				}
			}
		}()
		for _, p := range [][]byte{first, second} {
			_, _ = here.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(p))), p...)) // it may be closed by then
		}
		here.Close()
		<-read
		<-served
	})
}

// logIn answers the greeting, and reads up to the server's OK.
func logIn(c *wire.Conn) bool {
	if _, err := c.ReadPacket(); err != nil {
		return false
	}
	response := append([]byte{0x8d, 0xa6, 0xff, 0, 0, 0, 0, 1, 45}, make([]byte, 23)...)
	if answerAll(c, append(response, "root\x00\x00mysql_native_password\x00"...)) != nil {
		return false
	}
	p, err := c.ReadPacket()
	return err == nil && len(p) > 0 && p[0] == wire.HeaderOK
}
