package mysql

import (
	"context"
	"io"
	"regexp"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-replication/nexus/raft"
)

var (
	_ raft.Digester        = (*Backend)(nil)
	_ raft.DigestVersioner = (*Backend)(nil)
)

// DigestVersion is to be raised with each change of what snapshots tell of definitions and rows.
func (b *Backend) DigestVersion() int { return 1 }

// nextID in a definition is where the leader's counter stands, which counts transactions that were rolled back too.
var nextID = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// Digest calls item for each row of clients' tables, with the table as its part, and for each definition. See
// raft.Digester.
func (b *Backend) Digest(ctx context.Context, snap *raft.Snapshot, item func(part string, key, value uint64)) error {
	if _, err := snap.Data.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s, err := readSnapshot(snap.Data)
	if err != nil {
		return err
	}
	return s.each(
		func(o *object) error {
			if o.Kind == sequenceValue {
				return ctx.Err() // a transaction that was rolled back has advanced the leader's alone
			}
			item("definitions", xxhash.Sum64String(o.Kind+" "+o.Name), xxhash.Sum64String(nextID.ReplaceAllString(o.Statement, "")))
			return ctx.Err()
		},
		func(*table) error { return ctx.Err() },
		func(t *table, rows []byte) error { return digestRows(t, rows, item) })
}

func digestRows(t *table, rows []byte, item func(part string, key, value uint64)) error {
	if t.Database == "mysql" && t.Name != eventTable || IsBookkeeping(t.Database, t.Name) {
		return nil // accounts differ by the nodes' own
	}
	part := t.Database + "." + t.Name
	var key xxhash.Digest
	for len(rows) > 0 {
		key.Reset()
		row := rows
		for i, k := 0, 0; i < len(t.Columns); i++ {
			before := rows
			_, _, rest, err := value(rows)
			if err != nil {
				return err
			}
			rows = rest
			if k < len(t.Key) && t.Key[k] == i {
				_, _ = key.Write(before[:len(before)-len(rest)]) // never fails
				k++
			}
		}
		row = row[:len(row)-len(rows)]
		sum := xxhash.Sum64(row)
		if len(t.Key) == 0 {
			item(part, sum, sum)
			continue
		}
		item(part, key.Sum64(), sum)
	}
	return nil
}
