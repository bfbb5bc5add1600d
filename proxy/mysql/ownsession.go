package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// Account is the node's own on its server.
type Account struct{ User, Password string }

// ownSession is one of the node's own account that is served like a client's.
type ownSession struct {
	c *client.Conn
	// close ends the connection, which is ended with the server of clients, too.
	close func()
}

// loginError is for an account that the server does not let in.
type loginError struct{ error }

func (e *loginError) Unwrap() error { return e.error }

// loginOwn begins one, with settings that do not depend on the server's.
func (s *Server) loginOwn() (*ownSession, error) {
	dial := func(context.Context, string, string) (net.Conn, error) { return s.dialLocal(s.ctx, "", "") }
	account := s.cfg.Account
	c, err := client.ConnectWithDialer(s.ctx, "tcp", "local", account.User, account.Password, "", dial, func(c *client.Conn) error {
		c.SetCapability(gomysql.CLIENT_MULTI_RESULTS)
		return nil
	})
	var server *gomysql.MyError
	if errors.As(err, &server) {
		return nil, &loginError{fmt.Errorf("%s cannot log in over TCP, so that no event is executed, and no table dropped that a leader has left: give it a password, or another account in -mysqlConnUrl: %w", account.User, err)}
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(s.ctx, func() { c.Conn.Close() })
	own := &ownSession{c: c, close: func() {
		stop()
		c.Close()
	}}
	if err := own.say("SET NAMES utf8mb4", "SET SESSION sql_mode='', time_zone='+00:00', autocommit=1"); err != nil {
		own.close()
		return nil, err
	}
	return own, nil
}

// say executes statements.
func (o *ownSession) say(texts ...string) error {
	for _, text := range texts {
		if _, err := o.c.Execute(text); err != nil {
			return fmt.Errorf("%.40s: %w", text, err)
		}
	}
	return nil
}
