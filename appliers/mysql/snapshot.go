package mysql

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
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
	living  bool // rows are inserted as if they had no end yet
}

func (t *table) quoted() string { return name(t.Database) + "." + name(t.Name) }

// privilegeTables hold accounts and what they may do. The node's own account is not replicated.
var privilegeTables = []struct{ name, user string }{
	{"global_priv", "User"}, {"db", "User"}, {"tables_priv", "User"}, {"columns_priv", "User"}, {"procs_priv", "User"},
	{"proxies_priv", "User"}, {"roles_mapping", "User"},
}

// eventTable holds the events, of which the number of the server that has made them is not replicated.
const eventTable = "event"

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
	if err := d.beginTables(ctx); err != nil {
		return err
	}
	if err := d.beginPrograms(ctx); err != nil {
		return err
	}
	for _, p := range privilegeTables {
		t := table{Database: "mysql", Name: p.name, where: d.b.replicatedAccounts(p.user)}
		if t.Name == "procs_priv" {
			t.where += " AND NOT (Routine_name REGEXP " + ownProcedureName + ")"
		}
		if err := d.columns(ctx, &t); err != nil {
			return err
		}
		d.tables = append(d.tables, t)
	}
	for _, of := range wholeTables {
		t := table{Database: "mysql", Name: of}
		if err := d.columns(ctx, &t); err != nil {
			return err
		}
		d.tables = append(d.tables, t)
	}
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
	if kind == "trigger" {
		d.late = append(d.late, o)
	} else {
		d.objects = append(d.objects, o)
	}
	return nil
}

func (d *dump) beginTables(ctx context.Context) error {
	rows, err := d.k.rows(ctx, "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema NOT IN ("+
		systemSchemas+") AND table_type<>'VIEW' ORDER BY table_type='SEQUENCE' DESC, data_length, 1, 2") // a column may take its values from a sequence; small tables come and go
	if err != nil {
		return err
	}
	for _, row := range rows {
		t := table{Database: row[0], Name: row[1]}
		if row[2] == "SEQUENCE" {
			if err := d.beginSequence(ctx, t.Database, t.Name); err != nil {
				return err
			}
			continue
		}
		t.Versioned = row[2] == "SYSTEM VERSIONED"
		if row[2] != "BASE TABLE" && !t.Versioned {
			return fmt.Errorf("%s is a %s: snapshots of these are not there yet", t.quoted(), row[2])
		}
		own := IsBookkeeping(t.Database, t.Name)
		if own && t.Name != "address" && t.Name != "global_variable" {
			continue
		}
		if !own {
			if err := d.defineTable(ctx, &t); err != nil {
				return err
			}
		}
		if err := d.columns(ctx, &t); err != nil {
			return err
		}
		d.tables = append(d.tables, t)
	}
	return nil
}

// keepingOptions has options that the server does not know among the others of a definition. Else they stand in a comment, which one may end: what stands behind it would
// be executed by who restores that.
const keepingOptions = "sql_mode='IGNORE_BAD_TABLE_OPTIONS'"

func (d *dump) defineTable(ctx context.Context, t *table) error {
	ask := "SET STATEMENT " + keepingOptions + " FOR SHOW CREATE TABLE " + t.quoted()
	if err := d.define(ctx, "table", t.Database+"."+t.Name, ask, 1, []string{"USE " + name(t.Database), "SET SESSION " + keepingOptions}); err != nil {
		return err
	}
	made := &d.objects[len(d.objects)-1]
	definition, err := d.quoteDirectories(ctx, t, made.Statement)
	if err != nil {
		return err
	}
	if definition, err = d.quoteForeignKeys(ctx, t, definition); err != nil {
		return err
	}
	made.Statement = definition
	return nil
}

// sequenceValue is the kind of the object that sets a sequence to where it was.
const sequenceValue = "sequence value"

func (d *dump) beginSequence(ctx context.Context, database, sequence string) error {
	what := name(database) + "." + name(sequence)
	if err := d.define(ctx, "sequence", database+"."+sequence, "SHOW CREATE SEQUENCE "+what, 1, []string{"USE " + name(database)}); err != nil {
		return err
	}
	row, err := d.k.row(ctx, "SELECT next_not_cached_value, cycle_count FROM "+what)
	if err != nil {
		return err
	}
	d.objects = append(d.objects, object{Kind: sequenceValue, Name: database + "." + sequence, Statement: "DO SETVAL(" + what + "," + row[0] + ",0," + row[1] + ")"})
	return nil
}

// columns finds out which columns have to be written, and how.
func (d *dump) columns(ctx context.Context, t *table) error {
	rows, err := d.k.rows(ctx, "SELECT column_name, data_type, column_key, IFNULL(generation_expression, '') FROM information_schema.columns WHERE table_schema="+quote(t.Database)+
		" AND table_name="+quote(t.Name)+" AND (is_generated='NEVER' OR generation_expression IN ('ROW START','ROW END')) AND NOT (table_schema='mysql' AND column_name IN ('originator','last_executed')) ORDER BY ordinal_position")
	if err != nil {
		return err
	}
	if t.Versioned && !slices.ContainsFunc(rows, func(row []string) bool { return row[3] != "" }) {
		// They are not told of where the definition does not say them. The second is a part of the key.
		keyed := ""
		if slices.ContainsFunc(rows, func(row []string) bool { return row[2] == "PRI" }) {
			keyed = "PRI"
		}
		rows = append(rows, []string{"row_start", "timestamp", "", "ROW START"}, []string{"row_end", "timestamp", keyed, "ROW END"})
	}
	for i, row := range rows {
		t.Columns = append(t.Columns, row[0])
		expression := name(row[0])
		if row[1] == "float" {
			expression = "CAST(" + expression + " AS DOUBLE)" // with all its digits
		}
		if isBinary(row[1]) {
			t.Binary = append(t.Binary, i)
		}
		t.selects = append(t.selects, expression)
		if row[2] == "PRI" {
			t.Key = append(t.Key, i)
		}
	}
	t.Period = periodOf(rows)
	if len(t.Columns) > 0 {
		return nil
	}
	// Only the number of the rows of a table of generated columns has to be told. Who restores gives one of them a value, which the server passes over.
	row, err := d.k.row(ctx, "SELECT column_name FROM information_schema.columns WHERE table_schema="+quote(t.Database)+" AND table_name="+quote(t.Name)+" ORDER BY ordinal_position LIMIT 1")
	if err != nil {
		return err
	}
	t.Columns, t.selects = row, []string{"NULL"}
	return nil
}

// isBinary reports whether values of a type are bytes, which no character set applies to.
func isBinary(dataType string) bool {
	switch dataType {
	case "bit", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection":
		return true
	}
	return strings.HasSuffix(dataType, "blob") || strings.HasSuffix(dataType, "binary")
}

// beginPrograms reads views and stored programs.
func (d *dump) beginPrograms(ctx context.Context) error {
	rows, err := d.k.rows(ctx, "SELECT routine_schema, routine_name, routine_type, sql_mode, character_set_client, collation_connection FROM information_schema.routines"+
		" WHERE routine_schema NOT IN ("+systemSchemas+") AND routine_type IN ('FUNCTION','PROCEDURE','PACKAGE','PACKAGE BODY') AND NOT ("+ownProcedures+") ORDER BY routine_type, 1, 2") // a package before its body
	if err != nil {
		return err
	}
	for _, row := range rows {
		what := name(row[0]) + "." + name(row[1])
		if err := d.define(ctx, strings.ToLower(row[2]), what, "SHOW CREATE "+row[2]+" "+what, 2, programSession(row[0], row[3], row[4], row[5])); err != nil {
			return err
		}
	}
	rows, err = d.k.rows(ctx, "SELECT table_schema, table_name, character_set_client, collation_connection FROM information_schema.views WHERE table_schema NOT IN ("+systemSchemas+") ORDER BY 1, 2")
	if err != nil {
		return err
	}
	for _, row := range rows {
		what := name(row[0]) + "." + name(row[1])
		if err := d.define(ctx, "view", what, "SHOW CREATE VIEW "+what, 1, programSession(row[0], "", row[2], row[3])); err != nil {
			return err
		}
	}
	rows, err = d.k.rows(ctx, "SELECT trigger_schema, trigger_name, sql_mode, character_set_client, collation_connection FROM information_schema.triggers"+
		" WHERE trigger_schema NOT IN ("+systemSchemas+") ORDER BY trigger_schema, event_object_table, action_timing, event_manipulation, action_order")
	if err != nil {
		return err
	}
	for _, row := range rows {
		what := name(row[0]) + "." + name(row[1])
		if err := d.define(ctx, "trigger", what, "SHOW CREATE TRIGGER "+what, 2, programSession(row[0], row[2], row[3], row[4])); err != nil {
			return err
		}
	}
	return nil
}

func programSession(database, mode, charset, collation string) []string {
	return []string{"USE " + name(database),
		"SET SESSION character_set_client=" + charset + ", collation_connection=" + collation + ", sql_mode=" + quote(mode)}
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
	if err := d.hold(ctx, t); err != nil {
		return err
	}
	text := "SELECT " + strings.Join(t.selects, ",") + " FROM " + t.quoted()
	if t.Versioned {
		text += " FOR SYSTEM_TIME ALL"
	}
	if len(t.Period) > 0 {
		start, end := name(t.Columns[t.Period[0]]), name(t.Columns[t.Period[1]])
		if err := d.writeRows(ctx, t, text+" WHERE "+start+">="+end+" ORDER BY "+end); err != nil {
			return err
		}
		return d.writeRows(ctx, t, text+" WHERE "+start+"<"+end)
	}
	if t.where != "" {
		text += " WHERE " + t.where
	}
	return d.writeRows(ctx, t, text)
}

func (d *dump) writeRows(ctx context.Context, t *table, text string) error {
	rows := make([]byte, 0, rowsBytes+4096)
	err := d.k.stream(ctx, text, len(t.Columns), func(row []byte) error {
		rows = append(rows, row...)
		if len(rows) < rowsBytes {
			return nil
		}
		err := d.record(recordRows, rows)
		rows = rows[:0]
		return err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	return d.record(recordRows, rows)
}

// hold keeps a table from being changed, until the next one is held. Those of the server's own, and of Nexus, no schema change comes to.
func (d *dump) hold(ctx context.Context, t *table) error {
	if err := d.k.run(ctx, "ROLLBACK TO SAVEPOINT begun", "DO (SELECT COUNT(*) FROM "+t.quoted()+" WHERE FALSE)"); err != nil {
		return err
	}
	if t.Database != "mysql" && !IsBookkeeping(t.Database, t.Name) && d.b.amid.names(t.Name) {
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
