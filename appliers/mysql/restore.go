package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nexus-replication/nexus/raft"
)

// restoreInsert is about what one INSERT of a restore holds.
const restoreInsert = 1 << 20

// Restore replaces everything on the server. See raft.Store.
func (b *Backend) Restore(ctx context.Context, id raft.Identity, snap *raft.Snapshot) error {
	b.id, b.fatal = id, nil
	b.transactions.closeSessions()
	b.drop()
	err := b.restore(ctx, snap)
	b.stats.restored.Add(1)
	b.report(err)
	if err != nil {
		b.log.Warn("the backend could not be filled", "index", snap.Index, "err", err)
		b.drop()
		return fmt.Errorf("restore the snapshot at index %d: %w", snap.Index, err)
	}
	b.log.Info("backend restored", "addr", b.cfg.Addr, "term", snap.Term, "index", snap.Index, "bytes", snap.Size)
	return nil
}

func (b *Backend) restore(ctx context.Context, snap *raft.Snapshot) error {
	if err := b.dialChecked(ctx); err != nil {
		return err
	}
	if err := b.mayOverwrite(ctx, snap.Again); err != nil {
		return err
	}
	if err := b.endOthers(ctx); err != nil {
		return err
	}
	if err := b.rollBackPrepared(ctx, func(string) bool { return true }); err != nil {
		return err
	}
	if err := b.clear(ctx); err != nil {
		return err
	}
	if _, err := snap.Data.Seek(0, io.SeekStart); err != nil {
		return err
	}
	k, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	defer k.patiently()()
	r := &restorer{b: b, k: k, tables: make(map[string]*object)}
	if err := r.run(ctx, snap.Data); err != nil {
		return err
	}
	if err := b.conn.run(ctx, "FLUSH PRIVILEGES"); err != nil {
		return err
	}
	if err := b.grant(ctx, b.conn); err != nil {
		return err
	}
	if err := b.conn.run(ctx, positionUpdate(snap.Position)); err != nil {
		return err
	}
	if err := b.loadAddresses(ctx); err != nil {
		return err
	}
	if err := b.setVariables(ctx, b.conn); err != nil {
		return err
	}
	b.take(snap.Position)
	if err := b.checkCommits(ctx); err != nil {
		return err
	}
	return b.captureAnew(ctx)
}

// mayOverwrite refuses a server that is another node's, or that holds data nobody has claimed. It claims one that is new.
func (b *Backend) mayOverwrite(ctx context.Context, again bool) error {
	row, err := b.marker(ctx, b.conn)
	if err != nil {
		return err
	}
	if row != nil {
		_, err := b.checkMarker(row)
		return err
	}
	if !again {
		if err := b.refuseForeignData(ctx, b.conn); err != nil {
			return err
		}
	}
	return b.createBookkeeping(ctx, b.conn, raft.Position{})
}

// clear drops all that is replicated, but the claim.
func (b *Backend) clear(ctx context.Context) error {
	defer b.conn.patiently()()
	if err := b.conn.run(ctx, "SET SESSION foreign_key_checks=0", "UPDATE nexus.position SET term=0, idx=0"); err != nil {
		return err
	}
	rows, err := b.conn.rows(ctx, "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ("+systemSchemas+",'nexus')")
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, err := b.conn.exec(ctx, "DROP DATABASE "+name(row[0])); err != nil {
			return err
		}
	}
	rows, err = b.conn.rows(ctx, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema='nexus' AND table_name<>'position'")
	if err != nil {
		return err
	}
	for _, row := range rows {
		kind := "TABLE"
		if row[1] == "VIEW" || row[1] == "SEQUENCE" {
			kind = row[1]
		}
		if _, err := b.conn.exec(ctx, "DROP "+kind+" nexus."+name(row[0])); err != nil {
			return err
		}
	}
	rows, err = b.conn.rows(ctx, "SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema='nexus'")
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, err := b.conn.exec(ctx, "DROP "+row[0]+" IF EXISTS nexus."+name(row[1])); err != nil {
			return err
		}
	}
	for _, of := range wholeTables {
		if _, err := b.conn.exec(ctx, "DELETE FROM mysql."+of); err != nil {
			return err
		}
	}
	for _, p := range privilegeTables {
		if _, err := b.conn.exec(ctx, "DELETE FROM mysql."+p.name+" WHERE "+b.replicatedAccounts(p.user)); err != nil {
			return err
		}
	}
	return b.conn.run(ctx, bookkeeping...)
}

// restorer makes what a snapshot holds.
type restorer struct {
	known  bool // the server knows the accounts and functions of the snapshot
	b      *Backend
	k      *conn
	views  []*object          // which may need each other
	tables map[string]*object // by their names in quotes
	insert []byte
	starts []int // of the rows in insert
}

func (r *restorer) run(ctx context.Context, data io.Reader) error {
	if err := r.plain(ctx); err != nil {
		return err
	}
	s, err := readSnapshot(data)
	if err != nil {
		return &raft.FatalError{Err: err}
	}
	return s.each(
		func(o *object) error { return r.object(ctx, o) },
		func(t *table) error { return r.table(ctx, t) },
		func(t *table, rows []byte) error { return r.rows(ctx, t, rows) })
}

// table is called before the rows of a table. Views are made before the first of a client's: the server's own say which roles and functions there are.
func (r *restorer) table(ctx context.Context, t *table) error {
	if t.Database == "mysql" || r.known {
		return nil
	}
	r.known = true
	if err := r.k.run(ctx, "FLUSH PRIVILEGES"); err != nil {
		return err
	}
	return r.makeViews(ctx)
}

// plain sets the session up for definitions and rows as they were read.
func (r *restorer) plain(ctx context.Context) error {
	return r.k.run(ctx, "SET NAMES utf8mb4", "SET SESSION autocommit=1, sql_mode='NO_AUTO_VALUE_ON_ZERO,"+signedSubtraction+"', foreign_key_checks=0, unique_checks=0, check_constraint_checks=0, innodb_strict_mode=0, system_versioning_insert_history=1")
}

func (r *restorer) object(ctx context.Context, o *object) error {
	if o.Copied {
		return nil
	}
	switch o.Kind {
	case "view":
		r.views = append(r.views, o)
		return nil
	case "table":
		r.tables[o.quotedTable()] = o
	case "database":
		text := strings.Replace(o.Statement, "CREATE DATABASE ", "CREATE DATABASE IF NOT EXISTS ", 1)
		_, err := r.k.exec(ctx, text)
		return err
	}
	return r.make(ctx, o)
}

// quotedTable is the name of a table, with its database, in quotes.
func (o *object) quotedTable() string {
	for _, said := range o.Before {
		if database, ok := strings.CutPrefix(said, "USE `"); ok {
			plain := strings.ReplaceAll(strings.TrimSuffix(database, "`"), "``", "`")
			return name(plain) + "." + name(strings.TrimPrefix(o.Name, plain+"."))
		}
	}
	return name(o.Name)
}

func (r *restorer) make(ctx context.Context, o *object) error {
	texts := []string{o.text()}
	if o.Kind == "table" {
		if err := plainTable(o); err != nil {
			return fmt.Errorf("make %s %s: %w", o.Kind, o.Name, err)
		}
		texts = makeTable(o.text())
	}
	if err := r.k.run(ctx, append(append([]string{}, o.Before...), texts...)...); err != nil {
		return fmt.Errorf("make %s %s: %w", o.Kind, o.Name, err)
	}
	return r.plain(ctx)
}

// makeTable makes a table by the definition that the server has shown. That columns are without a history, should the table get one again, the server takes only where it
// has one.
func makeTable(definition string) []string {
	const without, with, partitions = " WITHOUT SYSTEM VERSIONING", " WITH SYSTEM VERSIONING", "\n PARTITION BY "
	bare := unquoted(definition) // a comment may say the same words
	columns := strings.Index(bare, " (\n")
	options := strings.LastIndex(bare, "\n) ")
	named, ok := strings.CutPrefix(definition[:max(columns, 0)], "CREATE TABLE ")
	if !ok || options < columns || !strings.Contains(bare[:options], without) || strings.Contains(bare[options:], with) {
		return []string{definition}
	}
	end := len(definition)
	if at := strings.Index(bare[options:], partitions); at >= 0 {
		end = options + at
	}
	return []string{definition[:end] + with + definition[end:], "ALTER TABLE " + named + " DROP SYSTEM VERSIONING"}
}

// makeViews makes views until all are there: each may select from others. The tables are there, and empty.
func (r *restorer) makeViews(ctx context.Context) error {
	left := r.views
	r.views = nil
	for len(left) > 0 {
		var again []*object
		var failed error
		for _, o := range left {
			err := r.make(ctx, o)
			if err != nil && serverCode(err) == 0 {
				return err
			}
			if err != nil {
				again, failed = append(again, o), err
				if err := r.plain(ctx); err != nil {
					return err
				}
			}
		}
		if len(again) == len(left) {
			lost, err := r.makeLost(ctx, left)
			if err != nil {
				return fmt.Errorf("restore views of what is not there: %w", err)
			}
			if len(lost) > 0 {
				r.b.log.Error("views could not be restored: what they select from is not there", "views", len(lost), "first", lost[0].Name, "err", failed)
			}
			return nil
		}
		left = again
	}
	return nil
}

// rows inserts rows of t.
func (r *restorer) rows(ctx context.Context, t *table, rows []byte) error {
	head := t.insertHead()
	if len(t.Period) == 2 {
		var err error
		if rows, err = r.unseen(ctx, t, rows); err != nil {
			return fmt.Errorf("rows of %s: %w", t.quoted(), err)
		}
	}
	for len(rows) > 0 {
		r.insert, r.starts = append(r.insert[:0], head...), r.starts[:0]
		for first := true; len(rows) > 0 && len(r.insert) < restoreInsert; first = false {
			if !first {
				r.insert = append(r.insert, ',')
			}
			r.starts = append(r.starts, len(r.insert))
			var err error
			if rows, err = r.row(t, rows); err != nil {
				return &raft.FatalError{Err: fmt.Errorf("%s: %w", t.quoted(), err)}
			}
		}
		if err := r.insertModes(ctx, head); err != nil {
			return fmt.Errorf("rows of %s: %w", t.quoted(), err)
		}
	}
	return nil
}

// insertModes executes insert, which begins with head, in whatever sql_mode its rows need: see tryModes. Rows that need different ones are inserted one by one.
func (r *restorer) insertModes(ctx context.Context, head string) error {
	err := r.insertIn(ctx, string(r.insert))
	if serverCode(err) != codeOutOfRange || len(r.starts) == 1 {
		return err
	}
	for i, start := range r.starts {
		end := len(r.insert)
		if i+1 < len(r.starts) {
			end = r.starts[i+1] - 1
		}
		if err := r.insertIn(ctx, head+string(r.insert[start:end])); err != nil {
			return err
		}
	}
	return nil
}

// insertIn executes an INSERT, which is a transaction of its own: the server fills an empty table in such a way that it takes back the whole transaction where a statement
// fails, and says of that nothing but the error. A table that is open is understood in the mode of who has opened it.
func (r *restorer) insertIn(ctx context.Context, insert string) error {
	_, err := r.k.exec(ctx, insert)
	for _, mode := range []string{"", signedSubtraction} {
		if serverCode(err) != codeOutOfRange {
			break
		}
		err = r.k.run(ctx, "FLUSH TABLES", "SET STATEMENT sql_mode='NO_AUTO_VALUE_ON_ZERO,"+mode+"' FOR "+insert)
	}
	return err
}

// insertHead is what stands before the rows of a statement that inserts some.
func (t *table) insertHead() string {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = name(c)
	}
	verb := "INSERT" // there are no others; not all tables know REPLACE
	if t.Database == "mysql" || IsBookkeeping(t.Database, t.Name) {
		verb = "REPLACE"
	}
	return verb + " INTO " + t.quoted() + " (" + strings.Join(columns, ",") + ") VALUES "
}

func (r *restorer) row(t *table, rows []byte) ([]byte, error) {
	if len(t.Columns) == 0 {
		return nil, errors.New("a table without columns")
	}
	for i, binary := 0, t.Binary; i < len(t.Columns); i++ {
		sep := byte('(')
		if i > 0 {
			sep = ','
		}
		r.insert = append(r.insert, sep)
		text, null, rest, err := value(rows)
		if err != nil {
			return nil, err
		}
		rows = rest
		isBinary := len(binary) > 0 && binary[0] == i
		if isBinary {
			binary = binary[1:]
		}
		if t.living && i == t.Period[1] {
			r.insert = append(r.insert, "DEFAULT"...)
			continue
		}
		if null {
			r.insert = append(r.insert, "NULL"...)
			continue
		}
		if isBinary {
			r.insert = append(r.insert, "_binary"...)
		}
		r.insert = append(r.insert, '\'')
		for _, c := range text {
			if c == '\'' || c == '\\' {
				r.insert = append(r.insert, '\\')
			}
			r.insert = append(r.insert, c)
		}
		r.insert = append(r.insert, '\'')
	}
	r.insert = append(r.insert, ')')
	return rows, nil
}
