package mysql

import (
	"bytes"
	"context"
)

// periodOf returns the places of the columns that say when a row begins and ends, of rows that information_schema has answered. Those of transactions' numbers are not
// meant: no row ends with the transaction that has made it.
func periodOf(columns [][]string) []int {
	start, end := -1, -1
	for i, column := range columns {
		switch {
		case column[1] != "timestamp":
		case column[3] == "ROW START":
			start = i
		case column[3] == "ROW END":
			end = i
		}
	}
	if start < 0 || end < 0 {
		return nil
	}
	return []int{start, end}
}

// unseen inserts the rows at the head of rows that end no later than they begin, and returns those behind them. DELETE makes such ones where the clock has not gone on since,
// as after SET timestamp. The server does not let them be inserted, so they are deleted again at that time: nothing else of the table is there yet.
func (r *restorer) unseen(ctx context.Context, t *table, rows []byte) ([]byte, error) {
	living := *t
	living.living = true
	for {
		end, err := t.unseenEnd(rows)
		if err != nil || end == nil {
			return rows, err
		}
		r.insert = append(r.insert[:0], t.insertHead()...)
		for same, first := end, true; bytes.Equal(same, end) && len(r.insert) < restoreInsert; first = false {
			if !first {
				r.insert = append(r.insert, ',')
			}
			if rows, err = r.row(&living, rows); err != nil {
				return nil, err
			}
			if same, err = t.unseenEnd(rows); err != nil {
				return nil, err
			}
		}
		if err := r.k.run(ctx, string(r.insert), "SET timestamp=UNIX_TIMESTAMP("+quote(string(end))+")", "DELETE FROM "+t.quoted(), "SET timestamp=DEFAULT"); err != nil {
			return nil, err
		}
	}
}

// unseenEnd returns when the first of rows ends, or nil if that is later than it begins.
func (t *table) unseenEnd(rows []byte) ([]byte, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var start, end []byte
	for i := range t.Columns {
		text, _, rest, err := value(rows)
		if err != nil {
			return nil, err
		}
		switch rows = rest; i {
		case t.Period[0]:
			start = text
		case t.Period[1]:
			end = text
		}
	}
	if bytes.Compare(start, end) < 0 {
		return nil, nil
	}
	return end, nil
}
