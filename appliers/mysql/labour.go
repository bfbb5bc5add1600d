package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rows of a table without a key are looked for one by one, and others wait behind that for minutes. Whether the server works on it, or hangs,
// is seen from what it has changed and read: a leader whose server works on what was left to it keeps its office (raft.Busier).

const (
	// labourPause is how often it is looked whether rows that are being applied come along.
	labourPause = 500 * time.Millisecond
	// labourLasts is for how long the server is believed to work after it was seen to.
	labourLasts = 3 * time.Second
	// labourReads are how many rows the server must have read to have come along. The looks themselves read a few hundred.
	labourReads = 10000
	// toldTables are named of those whose rows are being applied.
	toldTables = 3
)

// labour is what the server is executing for the applier.
type labour struct {
	mu    sync.Mutex
	what  func() (what, of string) // nil for nothing
	since time.Time
	came  time.Time // when rows were seen to come along last; zero for not yet
	steps *steps    // as of then; nil before the first look
}

// steps only grow while the server works.
type steps struct{ changed, read float64 }

// begin notes what is being executed until end is called.
func (l *labour) begin(what func() (what, of string)) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.what, l.since, l.came, l.steps = what, time.Now(), time.Time{}, nil
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.what, l.came = nil, time.Time{}
	}
}

// note takes what was seen at some time.
func (l *labour) note(now steps, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.what == nil:
	case l.steps == nil: // the position was changed, and others have read
		l.steps = &now
	case now.changed > l.steps.changed, now.read-l.steps.read >= labourReads:
		l.came, l.steps = at, &now
	}
}

// comesAlong reports whether rows have been seen to come along a moment ago.
func (l *labour) comesAlong() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.came.IsZero() && time.Since(l.came) < labourLasts
}

// Executing tells people what the server is executing for the applier. See raft.Explainer.
func (b *Backend) Executing() (what, of string, since time.Time) {
	b.labour.mu.Lock()
	defer b.labour.mu.Unlock()
	if b.labour.what == nil {
		return "", "", time.Time{}
	}
	what, of = b.labour.what()
	return what, of, b.labour.since
}

// labours looks, while rows are applied on a connection, whether they come along. The function that it returns ends that, and waits
// for the end.
func (b *Backend) labours(connection uint32, ops []operation) (done func()) {
	end := b.labour.begin(func() (string, string) { return describeRows(ops) })
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	timer := time.AfterFunc(labourPause, func() {
		defer close(over)
		b.watchLabour(ctx, connection)
	})
	return func() {
		cancel()
		if !timer.Stop() {
			<-over
		}
		end()
	}
}

func (b *Backend) watchLabour(ctx context.Context, connection uint32) {
	var k *conn
	for ctx.Err() == nil {
		now, err := b.readSteps(ctx, &k, connection)
		switch {
		case err == nil:
			b.labour.note(now, time.Now())
		case ctx.Err() == nil:
			b.log.Warn("it is not known whether the rows that are being applied come along", "err", err)
		}
		select {
		case <-time.After(labourPause):
		case <-ctx.Done():
		}
	}
	if k != nil {
		k.close()
	}
}

// readSteps asks on *k, which it makes where it is nil, and ends after an error.
func (b *Backend) readSteps(ctx context.Context, k **conn, connection uint32) (steps, error) {
	if *k == nil {
		made, err := b.connect(ctx)
		if err != nil {
			return steps{}, err
		}
		*k = made
	}
	row, err := (*k).row(ctx, "SELECT IFNULL((SELECT SUM(trx_rows_modified) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id="+strconv.FormatUint(uint64(connection), 10)+"), 0),"+
		" (SELECT SUM(variable_value) FROM information_schema.global_status WHERE variable_name IN ('HANDLER_READ_NEXT','HANDLER_READ_RND_NEXT'))")
	if err == nil && len(row) != 2 {
		err = fmt.Errorf("%d columns, want 2", len(row))
	}
	var s steps
	for i, to := range []*float64{&s.changed, &s.read} {
		if err == nil {
			*to, err = strconv.ParseFloat(row[i], 64)
		}
	}
	if err != nil {
		(*k).close()
		*k = nil
	}
	return s, err
}

// describeRows tells from where in the log rows are being applied, and of which tables they are.
func describeRows(ops []operation) (what, of string) {
	tables := changedTables(ops)
	if len(tables) > toldTables {
		tables = append(tables[:toldTables], "and others")
	}
	entries := fmt.Sprintf("entry %d", ops[0].entry.Index)
	if last := ops[len(ops)-1].entry.Index; last != ops[0].entry.Index {
		entries = fmt.Sprintf("entries %d to %d", ops[0].entry.Index, last)
	}
	return "changes of rows (log " + entries + ")", strings.Join(tables, ", ")
}

// changedTables are the tables of clients that the events of ops are about, up to one more than are told.
func changedTables(ops []operation) (tables []string) {
	for i := range ops {
		for rest := ops[i].events; len(rest) >= eventHeader; {
			size := int(binary.LittleEndian.Uint32(rest[9:]))
			if size < eventHeader || size > len(rest) {
				break // who applies them says so
			}
			event := rest[:size]
			rest = rest[size:]
			if event[4] != eventTableMap {
				continue
			}
			database, table := tableOf(event[eventHeader:])
			if said := database + "." + table; !IsBookkeeping(database, table) && !slices.Contains(tables, said) {
				tables = append(tables, said)
			}
			if len(tables) > toldTables {
				return tables
			}
		}
	}
	return tables
}
