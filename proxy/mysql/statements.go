package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/nexus-replication/nexus/raft"
)

// Statements execute texts of the gRPC service as a client would.
type Statements struct {
	server         *Server
	user, password string
	database       string
}

// NewStatements returns Statements of an account, in a database.
func NewStatements(server *Server, user, password, database string) *Statements {
	return &Statements{server: server, user: user, password: password, database: database}
}

// Save executes one or more statements, and says what each one did, with an empty line between.
func (s *Statements) Save(ctx context.Context, data []byte, args map[string]string) ([]byte, error) {
	return s.execute(ctx, "", data, args)
}

// Load executes statements that only read, and returns the rows of each one, with an empty line between: the names of the columns,
// then a line for each row, with tabs between the values.
func (s *Statements) Load(ctx context.Context, data []byte, args map[string]string) ([]byte, error) {
	return s.execute(ctx, "SET SESSION TRANSACTION READ ONLY", data, args)
}

func (s *Statements) execute(ctx context.Context, before string, data []byte, args map[string]string) ([]byte, error) {
	database := s.database
	for name, value := range args {
		if name != "db" {
			return nil, &statementError{fmt.Sprintf("argument %q is not known, want db", name)}
		}
		database = value
	}
	c, err := client.ConnectWithDialer(ctx, "tcp", "local", s.user, s.password, "", s.server.dialLocal, func(c *client.Conn) error {
		c.SetCapability(gomysql.CLIENT_MULTI_STATEMENTS)
		return nil
	})
	if err != nil {
		return nil, notConnected(err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Conn.Close() })()
	if database != "" {
		// The database may be one that the first statement creates.
		if _, err := c.Execute("USE `" + strings.ReplaceAll(database, "`", "``") + "`"); err != nil && s.database != database {
			return nil, judge(err)
		}
	}
	if before != "" {
		if _, err := c.Execute(before); err != nil {
			return nil, judge(err)
		}
	}
	var results [][]byte
	var failed error
	_, err = c.ExecuteMultiple(string(data), func(r *gomysql.Result, err error) {
		if err != nil {
			failed = err
			return
		}
		if told := describe(r); told != nil {
			results = append(results, told)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, judge(err)
	}
	return bytes.Join(results, []byte("\n\n")), nil
}

func describe(r *gomysql.Result) []byte {
	if r == nil || !r.HasResultset() {
		if r == nil {
			return nil
		}
		text := fmt.Sprintf("%d rows affected", r.AffectedRows)
		if r.AffectedRows == 1 {
			text = "1 row affected"
		}
		if r.InsertId != 0 {
			text += fmt.Sprintf(", last insert id %d", r.InsertId)
		}
		return []byte(text)
	}
	var b strings.Builder
	for i, f := range r.Fields {
		if i > 0 {
			b.WriteByte('\t')
		}
		b.Write(f.Name)
	}
	for i := range r.RowNumber() {
		b.WriteByte('\n')
		for j := range r.ColumnNumber() {
			if j > 0 {
				b.WriteByte('\t')
			}
			if null, err := r.IsNull(i, j); err == nil && null {
				b.WriteString("NULL")
				continue
			}
			if text, err := r.GetString(i, j); err == nil {
				b.WriteString(text)
			}
		}
	}
	return []byte(b.String())
}

// statementError tells the caller about its statement.
type statementError struct{ text string }

func (e *statementError) Error() string         { return e.text }
func (e *statementError) InvalidArgument() bool { return true }

// notConnected says why nothing was executed, without what the library calls the steps of a login.
func notConnected(err error) error {
	var server *gomysql.MyError
	switch {
	case errors.As(err, &server):
		return fmt.Errorf("%w: %s", raft.ErrNotDone, strings.TrimPrefix(server.Message, "Nexus: "))
	case errors.Is(err, raft.ErrNotDone):
		return err
	}
	return fmt.Errorf("%w: the connection was lost during the login, try again", raft.ErrNotDone)
}

// judge tells what the caller has done from what nobody knows.
func judge(err error) error {
	var server *gomysql.MyError
	if !errors.As(err, &server) {
		return fmt.Errorf("%w: the connection was lost before the answer came; look at what the statement was to do, before it is tried again", raft.ErrOutcomeUnknown)
	}
	if strings.HasPrefix(server.Message, OutcomeUnknown) {
		return fmt.Errorf("%w: %s", raft.ErrOutcomeUnknown, strings.TrimPrefix(server.Message, OutcomeUnknown+": "))
	}
	return &statementError{server.Error()}
}

// dialLocal returns a connection that is served as one of a client is.
func (s *Server) dialLocal(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	conn := &connection{client: there, local: true, close: func() { there.Close() }}
	if e := s.add(conn); e != nil {
		return nil, fmt.Errorf("%w: %s", raft.ErrNotDone, e.Message)
	}
	s.tasks.Go(func() {
		defer s.remove(conn)
		defer s.survive(conn) // what an event executes is a client's text
		s.serve(conn)
	})
	return here, nil
}
