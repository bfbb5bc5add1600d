package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// conn is a connection of this node's own account.
type conn struct {
	c   *client.Conn
	b   *Backend
	net *patientConn
}

// own is where this node itself talks to the server.
func (b *Backend) own() (network, address string) {
	if b.cfg.Socket != "" {
		return "unix", b.cfg.Socket
	}
	return "tcp", b.cfg.Addr
}

func (b *Backend) connect(ctx context.Context) (*conn, error) {
	stop := func() bool { return true }
	var held *patientConn
	var watched *login
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: b.cfg.DialTimeout}
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		held = newPatientConn(c, b.cfg.ReplyTimeout, b.answers)
		stop = context.AfterFunc(ctx, func() { _ = held.Close() }) // the library logs in without looking at ctx
		if b.Version() == "" {
			// Nobody was found there yet.
			watched = watchLogin(ctx, held, network, address)
		}
		return held, nil
	}
	network, address := b.own()
	c, err := client.ConnectWithDialer(ctx, network, address, b.cfg.User, b.cfg.Password, "", dial, func(c *client.Conn) error {
		c.ReadTimeout, c.WriteTimeout = b.cfg.ReplyTimeout, b.cfg.ReplyTimeout
		c.UnsetCapability(gomysql.CLIENT_DEPRECATE_EOF) // see stream
		if network == "tcp" && b.cfg.TLS != nil {
			c.SetTLSConfig(b.cfg.TLS)
		}
		return nil
	})
	stop()
	if strange := watched.end(network, address); err != nil && strange != nil {
		return nil, strange
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s as %s: %w", address, b.cfg.User, wrapServerError(err))
	}
	k := &conn{c: c, b: b, net: held}
	b.connections.add(uint64(c.GetConnectionID()))
	// What this account does never comes from a client, so it has nothing to do in the log that clients' rows are read
	// from.
	if _, err := k.exec(ctx, ownSession); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// ownSession makes a session the same whatever the server's global variables are, which clients may set.
const ownSession = "SET SESSION sql_log_bin=0, time_zone='+00:00', sql_mode='', foreign_key_checks=1, unique_checks=1, check_constraint_checks=1," +
	" tx_isolation='READ-COMMITTED', wait_timeout=28800, interactive_timeout=28800, net_read_timeout=60, net_write_timeout=60, max_statement_time=0," +
	" lock_wait_timeout=86400, innodb_lock_wait_timeout=50, sql_select_limit=18446744073709551615, sql_big_selects=1, sql_safe_updates=0, sql_auto_is_null=0," +
	" innodb_strict_mode=0, sql_quote_show_create=1, sql_notes=1, max_error_count=64, group_concat_max_len=1048576"

// exec executes one statement. The connection is of no use any more after an error that is no *ServerError, and when ctx
// has ended.
func (k *conn) exec(ctx context.Context, text string) (*gomysql.Result, error) {
	return k.execNamed(ctx, text, brief(text))
}

// execNamed is exec, for a statement that errors call by a name.
func (k *conn) execNamed(ctx context.Context, text, name string) (*gomysql.Result, error) {
	defer k.until(ctx)()
	if writesOwn(text) {
		defer k.b.watched()()
	}
	result, err := k.c.Execute(text)
	if err == nil {
		return result, nil
	}
	err = wrapServerError(err)
	if serverCode(err) == 0 && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("%s: %w", name, err)
}

// wrapServerError makes a *ServerError of what the library calls one.
func wrapServerError(err error) error {
	var server *gomysql.MyError
	if !errors.As(err, &server) {
		return err
	}
	return &ServerError{Code: server.Code, State: server.State, Message: server.Message}
}

// run executes statements in order, up to the first that fails.
func (k *conn) run(ctx context.Context, texts ...string) error {
	for _, text := range texts {
		if _, err := k.exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// maxBlock bounds the text of several statements that are sent as one.
const maxBlock = 4 << 20

// transact executes statements in one transaction, which is left open after an error. All of it goes as one statement, which
// costs one answer, unless it is large.
func (k *conn) transact(ctx context.Context, statements []string) error {
	size := 0
	for _, text := range statements {
		size += len(text)
	}
	if size > maxBlock {
		return k.run(ctx, append(append([]string{"BEGIN"}, statements...), "COMMIT")...)
	}
	_, err := k.exec(ctx, "BEGIN NOT ATOMIC START TRANSACTION;"+strings.Join(statements, ";")+";COMMIT;END")
	return err
}

// row returns the values of the one row that text selects; nil without one. NULL is the empty text.
func (k *conn) row(ctx context.Context, text string) ([]string, error) {
	rows, err := k.rows(ctx, text)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

func (k *conn) rows(ctx context.Context, text string) ([][]string, error) {
	result, err := k.exec(ctx, text)
	if err != nil {
		return nil, err
	}
	rows := make([][]string, 0, result.RowNumber())
	for i := range result.RowNumber() {
		row := make([]string, result.ColumnNumber())
		for j := range row {
			// A NULL is an empty text; other kinds of values always have a text.
			if row[j], err = result.GetString(i, j); err != nil {
				return nil, fmt.Errorf("%s: %w", brief(text), err)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (k *conn) close() {
	k.b.connections.remove(uint64(k.c.GetConnectionID()))
	_ = k.c.Close()
}

// leave is close where all that was said has been answered: the server warns in its log of who leaves without a word.
func (k *conn) leave() {
	_ = k.c.Quit()
	k.close()
}

func brief(text string) string {
	if len(text) > 60 {
		return text[:60] + "..."
	}
	return text
}

// serverCode returns the code of a *ServerError in err, or 0.
func serverCode(err error) uint16 {
	var e *ServerError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// quote returns s as a literal, in the sql_mode of a conn.
func quote(s string) string {
	return "'" + literal.Replace(s) + "'"
}

var literal = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`)

// name returns s as an identifier.
func name(s string) string {
	return "`" + strings.ReplaceAll(s, "`", "``") + "`"
}
