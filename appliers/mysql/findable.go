package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// Rows that were changed or removed are found on the other servers by a key, if their table has one. MariaDB takes a SPATIAL one for that, if there is
// neither a primary key nor a unique one of columns that are NOT NULL, and then does not find them: the servers would differ, and the nodes stop. Without
// any key it looks at all rows for each: the others would be behind for hours where many of many rows were changed, and so would be who has to lead
// next. So the leader rolls such transactions back.

// ErrUnfindable means that a transaction changed rows that the other servers would not find, and must be rolled back.
var ErrUnfindable = errors.New("has a SPATIAL index and no primary key, without which other servers do not find the rows that were changed or removed: give it a primary key")

// ErrKeyless means that a transaction changed rows that the other servers would find too late, and must be rolled back.
var ErrKeyless = errors.New("has no index, so that the other servers would look for each of the rows that were changed or removed among all of them: give it a primary key")

const (
	// maxLookups bounds the rows that a transaction changes, times those that there are: a server looks at some 10 million in a second, and at half
	// of them.
	maxLookups = 20e9
	// keylessBytes of changes are not looked at.
	keylessBytes = 16 << 10
	// leastRow is what a changed row has in the log at least, in bytes.
	leastRow = 4
)

// mappedTable is one that a group of events is about.
type mappedTable struct {
	id              uint64
	database, table string
	bytes           int  // of the changes
	keyless         bool // it is known to have no index
}

// findable are the ids of tables of which the server finds rows, and whether by an index. A table that is altered gets another id.
type findable struct {
	mu  sync.Mutex
	ids map[uint64]bool
}

// maxFindable bounds them: each has to be asked for anew if there are more.
const maxFindable = 10000

func (f *findable) find(id uint64) (indexed, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	indexed, known = f.ids[id]
	return indexed, known
}

func (f *findable) add(id uint64, indexed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil || len(f.ids) >= maxFindable {
		f.ids = make(map[uint64]bool)
	}
	f.ids[id] = indexed
}

// noteChanged notes the table of rows that were changed or removed, if it is not known that others find them by an index.
func (c *capture) noteChanged(id uint64, bytes int) {
	indexed, known := c.findable.find(id)
	if indexed {
		return
	}
	at := slices.IndexFunc(c.changed, func(t mappedTable) bool { return t.id == id })
	if at < 0 {
		t, found := c.mapped[id]
		if !found {
			return
		}
		t.keyless = known
		at, c.changed = len(c.changed), append(c.changed, t)
	}
	c.changed[at].bytes += bytes
}

// checkFindable returns ErrUnfindable if the rows of one of these tables are not found, and ErrKeyless if that would take too long. A connection
// has changed them. Otherwise it waits while too much is owed, and returns how many lookups these are.
func (b *Backend) checkFindable(ctx context.Context, connection uint64, changed []mappedTable, known *findable) (lookups float64, err error) {
	keyless := ""
	for i := range changed {
		t := &changed[i]
		if t.keyless && t.bytes < keylessBytes {
			continue
		}
		where := " WHERE table_schema=" + quote(t.database) + " AND table_name=" + quote(t.table)
		of := "FROM information_schema.statistics" + where
		row, err := b.Row(ctx, "SELECT EXISTS (SELECT 1 "+of+" AND index_type='SPATIAL') AND NOT EXISTS (SELECT 1 "+of+" AND non_unique=0 GROUP BY index_name HAVING MAX(nullable)=''),"+
			" EXISTS (SELECT 1 "+of+" AND index_type='BTREE'),"+
			" IFNULL((SELECT table_rows FROM information_schema.tables"+where+"), 0),"+
			" (SELECT SUM(trx_rows_modified) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id="+strconv.FormatUint(connection, 10)+")")
		switch {
		case err != nil:
			return 0, fmt.Errorf("look at the keys of %s.%s: %w", t.database, t.table, err)
		case len(row) != 4 || row[0] != "0":
			return 0, fmt.Errorf("%s.%s %w", t.database, t.table, ErrUnfindable)
		}
		indexed := row[1] != "0"
		there, _ := strconv.ParseFloat(row[2], 64)
		changes, err := strconv.ParseFloat(row[3], 64) // in all tables
		if most := float64(t.bytes / leastRow); err != nil || changes > most {
			changes = most
		}
		known.add(t.id, indexed)
		if indexed {
			continue
		}
		keyless = t.database + "." + t.table
		if lookups += changes * (there + changes); lookups > maxLookups { // those that were removed are not counted any more
			return 0, fmt.Errorf("%s %w", keyless, ErrKeyless)
		}
	}
	if keyless == "" {
		return 0, nil
	}
	return lookups, b.owed.await(ctx, keyless, lookups)
}
