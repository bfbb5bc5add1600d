package mysql

import (
	"context"
	"errors"
	"time"
)

// triedPrefix begins the names of what TryAltering and TryView make in the database nexus.
const triedPrefix = "tried_"

// notTried is the condition for what is no such table or view.
const notTried = "NOT (table_schema='nexus' AND table_name REGEXP '^" + triedPrefix + "[0-9a-f]{16}$')"

// dropTriedTimeout bounds the removal of it. What is left then goes when the backend is opened.
const dropTriedTimeout = 10 * time.Second

// TryAltering executes an ALTER TABLE on an empty table like the one that is meant, on this server and not in its log, and returns what the server says of it. The table is
// named as a client with the settings of prelude would, and altering returns the statement for a table of another name. The statement must be about no other
// table.
func (b *Backend) TryAltering(ctx context.Context, prelude []string, table string, altering func(other string) string) error {
	return b.try(ctx, prelude, "TABLE", func(k *conn, tried string) error {
		if _, err := k.exec(ctx, "CREATE TABLE "+tried+" LIKE "+table); err != nil {
			return err
		}
		_, err := k.exec(ctx, altering(tried))
		return err
	})
}

// try lets do make a table or view of the name tried, in a session with the settings of prelude, and drops it.
func (b *Backend) try(ctx context.Context, prelude []string, kind string, do func(k *conn, tried string) error) (err error) {
	k, err := b.connect(ctx)
	if err != nil {
		return err
	}
	tried := "nexus." + name(triedPrefix+newSecret())
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTriedTimeout)
		defer cancel()
		if dropped := k.run(ctx, "DROP "+kind+" IF EXISTS "+tried); dropped != nil {
			k.close()
			err = errors.Join(err, dropped)
			return
		}
		k.leave()
	}()
	if err := k.run(ctx, append([]string{patient, "SET NAMES utf8mb4"}, prelude...)...); err != nil {
		return err
	}
	return do(k, tried)
}

// dropTried drops what TryAltering and TryView have left.
func (k *conn) dropTried(ctx context.Context) error {
	rows, err := k.rows(ctx, "SELECT IF(table_type='VIEW', 'VIEW', 'TABLE'), table_name FROM information_schema.tables WHERE table_schema='nexus' AND NOT "+notTried)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := k.run(ctx, "DROP "+row[0]+" IF EXISTS nexus."+name(row[1])); err != nil {
			return err
		}
	}
	return nil
}
