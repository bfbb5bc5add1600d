package mysql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/nexus-replication/nexus/raft"
)

// Layout of a snapshot: records, each a kind (1 byte), a length (4 bytes, little-endian) and as many bytes.
//
//	'V' first: snapshotVersion
//	'S' a statement that makes an object: JSON of object
//	'T' a table, of which rows follow: JSON of table
//	'R' rows of the table named last: each value as the protocol has it, a length-encoded text or NULL
//	'E' last
const (
	snapshotVersion = "nexus-mysql-1"

	recordVersion = 'V'
	recordObject  = 'S'
	recordTable   = 'T'
	recordRows    = 'R'
	recordEnd     = 'E'

	rowsBytes = 512 << 10
)

// object is something that a statement makes.
type object struct {
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Before    []string `json:"before,omitempty"` // statements that set up the session for it
	Statement string   `json:"statement"`
	// Bytes are the statement in the character set that Before sets, where that is no Unicode, or where parts of it are in another one.
	Bytes []byte `json:"bytes,omitempty"`
	// Copied says that rows of procTable have it, with all that no statement tells. The statement is there to be compared.
	Copied bool `json:"copied,omitempty"`
}

// text is the statement as the server is to get it.
func (o *object) text() string {
	if len(o.Bytes) > 0 {
		return string(o.Bytes)
	}
	return o.Statement
}

// table is one of which the snapshot holds rows.
type table struct {
	Database string   `json:"database"`
	Name     string   `json:"name"`
	Columns  []string `json:"columns"`
	// Key are the places in Columns of those that tell rows apart; all if there is no primary key.
	Key []int `json:"key,omitempty"`
	// Versioned says that rows of the past are among the rows.
	Versioned bool `json:"versioned,omitempty"`
	// Period are the places of the times at which rows begin and end. Those that end no later than they begin come first. See unseen.
	Period []int `json:"period,omitempty"`
	// Binary are the places of those that hold bytes rather than text.
	Binary []int `json:"binary,omitempty"`

	selects []string // what is selected for each column
	where   string
	early   [][]byte // rows that were read before the others
	living  bool     // rows are inserted as if they had no end yet
}

func (t *table) quoted() string { return name(t.Database) + "." + name(t.Name) }

// privilegeTables hold accounts and what they may do. The node's own account is not replicated.
var privilegeTables = []struct{ name, user string }{
	{"global_priv", "User"}, {"db", "User"}, {"tables_priv", "User"}, {"columns_priv", "User"}, {"procs_priv", "User"},
	{"proxies_priv", "User"}, {"roles_mapping", "User"},
}

// eventTable holds the events, of which the number of the server that has made them is not replicated.
const eventTable = "event"

// procTable holds the stored functions, procedures and packages.
const procTable = "proc"

// wholeTables of the database mysql are replicated with all of their rows: events, and what CREATE SERVER says.
var wholeTables = []string{eventTable, "servers"}

// IsOwnAccount reports whether user is the name of the account of this node, which other servers may not have.
func (b *Backend) IsOwnAccount(user string) bool { return user == b.cfg.User }

func (b *Backend) replicatedAccounts(column string) string {
	return name(column) + " NOT IN ('mariadb.sys'," + quote(b.cfg.User) + ")"
}

// Snapshot returns the state as of the last applied entry. See raft.Store. Accounts and definitions are read before it
// returns; rows come from a consistent read while entries go on being applied. A schema change meanwhile may break it off: see amid. There is one at a time.
func (b *Backend) Snapshot(ctx context.Context) (io.ReadCloser, error) {
	if err := b.ensure(ctx); err != nil {
		return nil, err
	}
	k, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	b.amid.begin()
	d := &dump{b: b, k: k}
	if err := d.begin(ctx); err != nil {
		b.amid.end()
		k.close()
		return nil, fmt.Errorf("begin a snapshot: %w", err)
	}
	reading, cancel := context.WithCancel(ctx)
	out, in := io.Pipe()
	s := &snapshotStream{PipeReader: out, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer b.amid.end()
		defer k.close()
		defer k.patiently()()
		d.w = bufio.NewWriterSize(in, 64<<10)
		err := d.write(reading)
		if err == nil {
			err = d.w.Flush()
		}
		if b.amid.any() && byOtherSchema(err) {
			err = fmt.Errorf("%w: the schema was changed meanwhile: %w", raft.ErrBusy, err)
		}
		_ = in.CloseWithError(err) // never fails; nil ends the stream well
	}()
	return s, nil
}

// snapshotStream is the reading end of a dump.
type snapshotStream struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close ends the dump and waits for it.
func (s *snapshotStream) Close() error {
	s.cancel()
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// dump writes one snapshot.
type dump struct {
	b       *Backend
	k       *conn
	w       *bufio.Writer
	objects []object // in the order of their making: databases, tables, routines, views
	tables  []table
	late    []object // triggers, which must not see the rows come
	views   []view
}

// begin fixes the state and reads all but the rows.
func (d *dump) begin(ctx context.Context) error {
	if err := d.k.run(ctx, "SET NAMES utf8mb4", "SET SESSION lock_wait_timeout=5, net_write_timeout=3600",
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT", "SAVEPOINT begun"); err != nil {
		return err
	}
	databases, err := d.k.rows(ctx, "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ("+systemSchemas+") ORDER BY schema_name")
	if err != nil {
		return err
	}
	for _, row := range databases {
		if err := d.define(ctx, "database", row[0], "SHOW CREATE DATABASE "+name(row[0]), 1, nil); err != nil {
			return err
		}
	}
	if err := d.listViews(ctx); err != nil {
		return err
	}
	if err := d.beginTables(ctx); err != nil {
		return err
	}
	if err := d.beginPrograms(ctx); err != nil {
		return err
	}
	return d.beginOwn(ctx)
}

// beginOwn reads the rows of the server's own tables, which are no part of a consistent read.
func (d *dump) beginOwn(ctx context.Context) error {
	var tables []table
	for _, p := range privilegeTables {
		t := table{Database: "mysql", Name: p.name, where: d.b.replicatedAccounts(p.user)}
		if t.Name == "procs_priv" {
			t.where += " AND NOT (Routine_name REGEXP " + ownProcedureName + ")"
		}
		tables = append(tables, t)
	}
	tables = append(tables, table{Database: "mysql", Name: procTable, where: clientsProcedures})
	for _, of := range wholeTables {
		tables = append(tables, table{Database: "mysql", Name: of})
	}
	own := make([]table, 0, len(tables)+len(d.tables))
	for _, t := range tables {
		if err := d.columns(ctx, &t); err != nil {
			return err
		}
		err := d.selectRows(ctx, &t, t.selection(), func(rows []byte) error {
			t.early = append(t.early, bytes.Clone(rows))
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", t.quoted(), err)
		}
		own = append(own, t)
	}
	d.tables = append(own, d.tables...) // views and triggers call functions, and may have roles for definers
	return nil
}

// define asks for a definition, which stands in the given column of the answer.
func (d *dump) define(ctx context.Context, kind, what, ask string, column int, before []string) error {
	row, err := d.k.row(ctx, ask)
	if err != nil {
		return err
	}
	if len(row) <= column || row[column] == "" {
		return fmt.Errorf("%s: the server does not tell the definition", ask)
	}
	o := object{Kind: kind, Name: what, Before: before, Statement: row[column]}
	d.objects = append(d.objects, o)
	return nil
}

// write writes all records.
func (d *dump) write(ctx context.Context) error {
	if err := d.record(recordVersion, []byte(snapshotVersion)); err != nil {
		return err
	}
	if err := d.writeObjects(d.objects); err != nil {
		return err
	}
	for i := range d.tables {
		if err := d.writeTable(ctx, &d.tables[i]); err != nil {
			return fmt.Errorf("snapshot of %s: %w", d.tables[i].quoted(), err)
		}
	}
	if err := d.writeObjects(d.late); err != nil {
		return err
	}
	return d.record(recordEnd, nil)
}

func (d *dump) writeObjects(objects []object) error {
	for i := range objects {
		if err := d.recordJSON(recordObject, &objects[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *dump) writeTable(ctx context.Context, t *table) error {
	if err := d.recordJSON(recordTable, t); err != nil {
		return err
	}
	if t.Database == "mysql" {
		for _, rows := range t.early {
			if err := d.record(recordRows, rows); err != nil {
				return err
			}
		}
		return nil
	}
	if err := d.hold(ctx, t); err != nil {
		return err
	}
	text := t.selection()
	if len(t.Period) == 0 {
		return d.writeRows(ctx, t, text)
	}
	start, end := name(t.Columns[t.Period[0]]), name(t.Columns[t.Period[1]])
	if err := d.writeRows(ctx, t, text+" WHERE "+start+">="+end+" ORDER BY "+end); err != nil {
		return err
	}
	return d.writeRows(ctx, t, text+" WHERE "+start+"<"+end)
}

// selection is the statement that selects all rows that are replicated.
func (t *table) selection() string {
	text := "SELECT " + strings.Join(t.selects, ",") + " FROM " + t.quoted()
	if t.Versioned {
		text += " FOR SYSTEM_TIME ALL"
	}
	if t.where != "" {
		text += " WHERE " + t.where
	}
	return text
}

func (d *dump) writeRows(ctx context.Context, t *table, text string) error {
	return d.selectRows(ctx, t, text, func(rows []byte) error { return d.record(recordRows, rows) })
}

// selectRows calls take for some rows at a time, which it may not keep.
func (d *dump) selectRows(ctx context.Context, t *table, text string, take func(rows []byte) error) error {
	rows := make([]byte, 0, rowsBytes+4096)
	err := d.k.stream(ctx, text, len(t.Columns), func(row []byte) error {
		rows = append(rows, row...)
		if len(rows) < rowsBytes {
			return nil
		}
		err := take(rows)
		rows = rows[:0]
		return err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	return take(rows)
}

// hold keeps a table from being changed, until the next one is held. Those of Nexus no schema change comes to.
func (d *dump) hold(ctx context.Context, t *table) error {
	if err := d.k.run(ctx, "ROLLBACK TO SAVEPOINT begun", "DO (SELECT COUNT(*) FROM "+t.quoted()+" WHERE FALSE)"); err != nil {
		return err
	}
	if !IsBookkeeping(t.Database, t.Name) && d.b.amid.names(t.Name) {
		return fmt.Errorf("%w: a schema change has named this table, or one that is called like it", raft.ErrBusy)
	}
	return nil
}

func (d *dump) recordJSON(kind byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.record(kind, data)
}

func (d *dump) record(kind byte, data []byte) error {
	n := len(data)
	if _, err := d.w.Write([]byte{kind, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}); err != nil {
		return err
	}
	_, err := d.w.Write(data)
	return err
}
