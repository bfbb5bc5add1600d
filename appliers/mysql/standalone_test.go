package mysql

import "testing"

// The rows of SHOW BINLOG EVENTS, of which the third and the sixth column count, as MariaDB 10.11 and MySQL 8.0 show them.
func TestHasStandalone(t *testing.T) {
	transaction := [][2]string{
		{"Gtid", "XA START X'61',X'',1 GTID 0-1-58"}, {"Annotate_rows", "INSERT INTO t VALUES (2,2)"}, {"Table_map", "table_id: 22 (d.t)"},
		{"Write_rows_v1", "table_id: 22 flags: STMT_END_F"}, {"Query", "SAVEPOINT `s1`"}, {"Query", "ROLLBACK TO `s1`"}, {"Query", "XA END X'61',X'',1"}, {"XA_prepare", "XA PREPARE X'61',X'',1"},
	}
	commit := [][2]string{{"Gtid", "GTID 0-1-59"}, {"Query", "XA COMMIT X'61',X'',1"}}
	plain := [][2]string{{"Gtid", "BEGIN GTID 0-1-57"}, {"Query", "SAVEPOINT `s1`"}, {"Xid", "COMMIT /* xid=24 */"}}
	change := [][2]string{{"Gtid", "GTID 0-1-60"}, {"Query", "use `d`; CREATE TABLE x (a INT)"}}
	sequence := [][2]string{{"Gtid", "BEGIN GTID 0-1-61"}, {"Write_rows_v1", "table_id: 23 flags: STMT_END_F"}, {"Query", "COMMIT"}}
	ofMySQL := [][2]string{
		{"Gtid", "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'"}, {"Query", "XA START X'61',X'',1"}, {"Query", "SAVEPOINT `s1`"}, {"Query", "XA END X'61',X'',1"}, {"XA_prepare", "XA PREPARE X'61',X'',1"},
		{"Anonymous_Gtid", "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'"}, {"Query", "BEGIN"}, {"Query", "SAVEPOINT `s1`"}, {"Xid", "COMMIT /* xid=24 */"},
	}
	changeOfMySQL := [][2]string{{"Anonymous_Gtid", "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'"}, {"Query", "use `d`; CREATE TABLE x (a INT) /* xid=9 */"}}
	for name, tc := range map[string]struct {
		groups [][][2]string
		want   bool
	}{
		"nothing":                       {},
		"transactions with savepoints":  {groups: [][][2]string{transaction, commit, plain, sequence, transaction}},
		"a schema change among them":    {groups: [][][2]string{transaction, change, transaction, commit}, want: true},
		"the last one":                  {groups: [][][2]string{plain, change}, want: true},
		"transactions of MySQL":         {groups: [][][2]string{ofMySQL, ofMySQL}},
		"a schema change of MySQL":      {groups: [][][2]string{ofMySQL, changeOfMySQL}, want: true},
		"behind what is not to the end": {groups: [][][2]string{transaction[:5], change}, want: true},
	} {
		var events [][]string
		for _, group := range tc.groups {
			for _, e := range group {
				events = append(events, []string{"bin.000001", "4", e[0], "1", "5", e[1]})
			}
		}
		if got := hasStandalone(events); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
