package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

func TestWhatSchemaChangesName(t *testing.T) {
	for _, tc := range []struct {
		text, table string
		names       bool
	}{
		{"ALTER TABLE db.Orders ADD x INT", "orders", true}, {"ALTER TABLE db.`orders` ADD x INT", "ORDERS", true},
		{"ALTER TABLE db.orders_old ADD x INT", "orders", false}, {"RENAME TABLE a TO b, c TO a", "c", true}, {"RENAME TABLE a TO b, c TO a", "d", false},
		{"/*!50000ALTER TABLE*/ /*!100100orders*/ ADD x INT", "orders", true}, {"/*!501001st*/", "1st", true}, {"DROP TABLE.orders", "orders", true},
		{"DROP TABLE other", "é", true}, {"DROP TABLE other", "two words", true}, {"DROP TABLE other", "2024", false}, {"DROP TABLE `2024`", "2024", true}, {"DROP TABLE a$b", "a$b", true},
	} {
		var a amid
		a.note(tc.text)
		if a.any() {
			t.Fatal("something was noted for nobody")
		}
		a.begin()
		a.note(tc.text)
		if got := a.names(tc.table); got != tc.names || !a.any() {
			t.Errorf("%s names %s: %v", tc.text, tc.table, got)
		}
		a.end()
		if a.names(tc.table) {
			t.Error("it is remembered")
		}
	}
}

// What a schema change does to a snapshot passes, so that the next one is taken at once. What would be there again is told.
func TestWhatSchemaChangesDoToSnapshots(t *testing.T) {
	for _, tc := range []struct {
		err    error
		passes bool
	}{
		{fmt.Errorf("%w: named", raft.ErrBusy), false}, {io.ErrUnexpectedEOF, true},
		{&ServerError{Code: 1146, State: "42S02", Message: "Table 'a.b' doesn't exist"}, true}, {&ServerError{Code: 1054, State: "42S22", Message: "Unknown column 'x'"}, true},
		{&ServerError{Code: 1412, State: "HY000", Message: "Table definition has changed"}, true}, {&ServerError{Code: 1205, State: "HY000", Message: "Lock wait timeout exceeded"}, true},
		{&ServerError{Code: 1030, State: "HY000", Message: "Got error 126 from storage engine"}, false}, {&ServerError{Code: 1932, State: "42S02", Message: "Table doesn't exist in engine"}, false},
		{&ServerError{Code: 1712, State: "HY000", Message: "Index is corrupted"}, false}, {&ServerError{Code: 1064, State: "42000", Message: "You have an error in your SQL syntax"}, false},
	} {
		if got := byOtherSchema(fmt.Errorf("snapshot of a.b: %w", tc.err)); got != tc.passes {
			t.Errorf("%v passes: %v", tc.err, got)
		}
	}
	if byOtherSchema(nil) {
		t.Error("no error passes")
	}
}

// A snapshot that is read while the schema changes holds what was there before, or there is none.
func TestSnapshotBesideSchemaChanges(t *testing.T) {
	m := openMember(t, 1)
	schemas := func(texts ...string) (commands [][]byte) {
		for _, text := range texts {
			commands = append(commands, schema(2, text))
		}
		return commands
	}
	const columns = " (id INT PRIMARY KEY, v VARCHAR(1000), w INT DEFAULT 5)"
	m.apply(t, entry(2, 1), entry(2, 2, schemas("CREATE DATABASE app", "CREATE TABLE app.small"+columns, "CREATE TABLE app.large"+columns,
		"CREATE TABLE app.x"+columns, "CREATE TABLE app.y"+columns, "CREATE TABLE app.`ä`"+columns)...))
	s := m.session(t)
	fill := func(table string, rows int) string {
		return fmt.Sprintf("INSERT INTO app.%s (id, v) SELECT seq, REPEAT('%.1s', 1000) FROM app.seq_1_to_%d", table, table, rows)
	}
	_, data := m.prepare(t, s, 2, fill("small", 3), fill("large", 3000), fill("x", 9000), fill("y", 9000))
	m.apply(t, entry(2, 3, data))
	m.exec(t, "SET SESSION sql_log_bin=0", "ANALYZE TABLE app.small, app.large, app.x, app.y") // their sizes tell in which order they are read
	at, index := raft.Position{Term: 2, Index: 3}, uint64(3)
	for _, tc := range []struct {
		changes, back []string
		broken        bool
	}{
		{[]string{"CREATE TABLE app.other (a INT)", "DROP TABLE app.other"}, nil, false},
		{[]string{"ALTER TABLE app.small DROP w, ADD u INT"}, []string{"ALTER TABLE app.small DROP u, ADD w INT DEFAULT 5"}, false},
		{[]string{"RENAME TABLE app.small TO app.gone"}, []string{"RENAME TABLE app.gone TO app.small"}, false},
		{[]string{"RENAME TABLE app.x TO app.z, app.y TO app.x, app.z TO app.y"}, []string{"RENAME TABLE app.x TO app.z, app.y TO app.x, app.z TO app.y"}, true},
		{[]string{"RENAME TABLE app.x TO app.z"}, []string{"RENAME TABLE app.z TO app.x"}, true},
		{[]string{"ALTER TABLE app.x CHANGE id w INT, CHANGE w id INT"}, []string{"ALTER TABLE app.x CHANGE id w INT, CHANGE w id INT"}, true},
		{[]string{"RENAME TABLE app.`ä` TO app.`ö`"}, []string{"RENAME TABLE app.`ö` TO app.`ä`"}, false}, // it is empty, and read first
	} {
		want := digestOf(t, m, takeSnapshot(t, m, at))
		r, err := m.Snapshot(within(t, 60*time.Second))
		check(t, err)
		begun := make([]byte, 256<<10) // the large one is being read
		_, err = io.ReadFull(r, begun)
		check(t, err)
		index++
		m.apply(t, entry(2, index, schemas(tc.changes...)...))
		rest, err := io.ReadAll(r)
		check(t, r.Close())
		switch {
		case tc.broken && !errors.Is(err, raft.ErrBusy):
			t.Errorf("%s: the snapshot ends with %v", tc.changes, err)
		case !tc.broken && err != nil:
			t.Errorf("%s: %v", tc.changes, err)
		}
		if err == nil {
			data := append(begun, rest...)
			got := digestOf(t, m, &raft.Snapshot{Position: at, Origin: m.id, Data: bytes.NewReader(data), Size: int64(len(data))})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: the snapshot holds %v, want %v", tc.changes, got, want)
			}
		}
		index++
		m.apply(t, entry(2, index, schemas(tc.back...)...))
	}
}
