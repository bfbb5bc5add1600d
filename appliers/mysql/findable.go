package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Rows that were changed or removed are found on the other servers by a key, if their table has one. MariaDB takes a SPATIAL one for that, if there is
// neither a primary key nor a unique one of columns that are NOT NULL, and then does not find them: the servers would differ, and the nodes stop. So
// the leader rolls such a transaction back.

// ErrUnfindable means that a transaction changed rows that the other servers would not find, and must be rolled back.
var ErrUnfindable = errors.New("has a SPATIAL index and no primary key, without which other servers do not find the rows that were changed or removed: give it a primary key")

// mappedTable is one that a group of events is about.
type mappedTable struct {
	id              uint64
	database, table string
}

// findable are the ids of tables of which the server finds rows. A table that is altered gets another one.
type findable struct {
	mu  sync.Mutex
	ids map[uint64]struct{}
}

// maxFindable bounds them: each has to be asked for anew if there are more.
const maxFindable = 10000

func (f *findable) has(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, found := f.ids[id]
	return found
}

func (f *findable) add(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil || len(f.ids) >= maxFindable {
		f.ids = make(map[uint64]struct{})
	}
	f.ids[id] = struct{}{}
}

// noteChanged notes the table of a row that was changed or removed, if it is not known yet that others find it.
func (c *capture) noteChanged(id uint64) {
	if c.findable.has(id) || slices.ContainsFunc(c.changed, func(t mappedTable) bool { return t.id == id }) {
		return
	}
	if t, found := c.mapped[id]; found {
		c.changed = append(c.changed, t)
	}
}

// checkFindable returns ErrUnfindable if the rows of one of these tables are not found.
func (b *Backend) checkFindable(ctx context.Context, changed []mappedTable, known *findable) error {
	for _, t := range changed {
		of := "FROM information_schema.statistics WHERE table_schema=" + quote(t.database) + " AND table_name=" + quote(t.table)
		row, err := b.Row(ctx, "SELECT EXISTS (SELECT 1 "+of+" AND index_type='SPATIAL') AND NOT EXISTS (SELECT 1 "+of+" AND non_unique=0 GROUP BY index_name HAVING MAX(nullable)='')")
		switch {
		case err != nil:
			return fmt.Errorf("look at the keys of %s.%s: %w", t.database, t.table, err)
		case len(row) != 1 || row[0] != "0":
			return fmt.Errorf("%s.%s %w", t.database, t.table, ErrUnfindable)
		}
		known.add(t.id)
	}
	return nil
}
