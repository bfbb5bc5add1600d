package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/raft"
)

// within returns a context of the test that ends after d.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// server is a mariadbd of a test's own, with a connection pool for looking at it.
type server struct {
	*cluster.MariaDB
	db *sql.DB
}

func startServer(t testing.TB) *server {
	t.Helper()
	port, err := cluster.FreePort()
	check(t, err)
	m, err := cluster.NewMariaDB("mariadb", t.TempDir(), port)
	check(t, err)
	check(t, m.StartReady(within(t, 40*time.Second)))
	db, err := m.Client()
	check(t, err)
	t.Cleanup(func() {
		db.Close()
		check(t, m.Kill())
	})
	return &server{MariaDB: m, db: db}
}

func (s *server) exec(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := s.db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// query returns the rows as text, columns with commas and rows with semicolons between.
func (s *server) query(t testing.TB, text string) string {
	t.Helper()
	rows, err := s.db.Query(text)
	check(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	check(t, err)
	var out []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		check(t, rows.Scan(pointers...))
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.String
		}
		out = append(out, strings.Join(texts, ","))
	}
	check(t, rows.Err())
	return strings.Join(out, ";")
}

// member is a Backend with a log of its own making.
type member struct {
	*Backend
	*server
	id raft.Identity
}

func newMember(t testing.TB, s *server, node uint64) *member {
	t.Helper()
	cfg := NewConfig()
	cfg.Addr, cfg.User = s.Addr(), "root"
	cfg.SaveInterval = time.Hour // so that a test says when: by applying nothing
	cfg.Logger = slog.New(slog.DiscardHandler)
	b, err := New(cfg)
	check(t, err)
	t.Cleanup(func() { check(t, b.Close()) })
	return &member{Backend: b, server: s, id: raft.Identity{Cluster: 7, Node: node}}
}

func openMember(t testing.TB, node uint64) *member {
	t.Helper()
	m := newMember(t, startServer(t), node)
	_, err := m.Open(within(t, 40*time.Second), m.id)
	check(t, err)
	return m
}

func entry(term, index uint64, commands ...[]byte) raft.Entry {
	e := raft.Entry{Position: raft.Position{Term: term, Index: index}, Stamp: 1_700_000_000_000}
	for _, data := range commands {
		e.Commands = append(e.Commands, raft.Command{Data: data, Wanted: true})
	}
	return e
}

func (m *member) apply(t testing.TB, entries ...raft.Entry) {
	t.Helper()
	check(t, m.Apply(within(t, 40*time.Second), entries))
}

// session is a client's connection as the proxy has it.
type session struct {
	t         testing.TB
	c         *client.Conn
	committed error // of XA COMMIT
}

func (m *member) session(t testing.TB) *session {
	t.Helper()
	c, err := client.Connect(m.Addr(), "root", "", "")
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &session{t: t, c: c}
}

func (s *session) exec(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if _, err := s.c.Execute(text); err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (s *session) SendCommit(xid string) error {
	_, s.committed = s.c.Execute("XA COMMIT " + xid)
	return nil
}

func (s *session) Committed() error { return s.committed }

func (s *session) Disconnect()          { _ = s.c.Close() }
func (s *session) IsOfNode() bool       { return false }
func (s *session) ConnectionID() uint64 { return uint64(s.c.GetConnectionID()) }

// prepare executes statements as one transaction of epoch, up to XA PREPARE, and returns its command.
func (m *member) prepare(t testing.TB, s *session, epoch uint64, texts ...string) (*Transaction, []byte) {
	t.Helper()
	tx, err := m.Begin(epoch, s)
	check(t, err)
	s.exec("XA START " + tx.XID())
	s.exec(texts...)
	s.exec(tx.Mark(), "XA END "+tx.XID())
	check(t, tx.Prepare())
	s.exec("XA PREPARE " + tx.XID())
	data, err := tx.Captured(within(t, 40*time.Second))
	check(t, err)
	return tx, data
}

func schema(epoch uint64, text string) []byte {
	return EncodeSchema(epoch, []string{"SET NAMES utf8mb4"}, text)
}

func verdict(t testing.TB, e raft.Entry) string {
	t.Helper()
	var list []string
	for _, c := range e.Commands {
		v, err := DecodeReply(c.Reply)
		if err != nil && v != Failed {
			t.Fatal(err)
		}
		list = append(list, map[Verdict]string{Done: "done", Failed: fmt.Sprint(err), Fenced: "fenced"}[v])
	}
	return strings.Join(list, ",")
}
