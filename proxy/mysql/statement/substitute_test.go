package statement

import "testing"

func TestSubstitute(t *testing.T) {
	n, w := int64(3), 2
	known := &Facts{ReadOnly: true, RowCount: &n, Warnings: &w}
	for _, tc := range []struct {
		text  string
		facts *Facts
		want  string
	}{
		{"SELECT row_count()", known, "SELECT IFNULL(3,ROW_COUNT()) AS `row_count()`"},
		{"SELECT ROW_COUNT () , 1", known, "SELECT IFNULL(3,ROW_COUNT()) AS `ROW_COUNT ()` , 1"},
		{"SELECT ROW_COUNT() AS n, ROW_COUNT()+1, f(row_count()) FROM t", known, "SELECT IFNULL(3,ROW_COUNT()) AS n, IFNULL(3,ROW_COUNT())+1, f(IFNULL(3,ROW_COUNT())) FROM t"},
		{"SELECT 'ROW_COUNT()', row_count, `row_count`()", known, "SELECT 'ROW_COUNT()', row_count, `row_count`()"},
		{"SELECT row_count()", &Facts{}, "SELECT row_count()"},
		{"SELECT @@tx_read_only", &Facts{}, "SELECT 0 AS `@@tx_read_only`"},
		{"SELECT @@session.tx_read_only, @@LOCAL.TX_READ_ONLY x", known, "SELECT 1 AS `@@session.tx_read_only`, 1 x"},
		{"SELECT @@global.tx_read_only", known, "SELECT @@global.tx_read_only"},
		{"SELECT @@read_only, @@transaction_read_only", known, "SELECT @@read_only, @@transaction_read_only"},
		{"SELECT @@warning_count;", known, "SELECT IF(1,CAST(2 AS UNSIGNED),@@session.warning_count) AS `@@warning_count`;"},
		{"SELECT @@event_scheduler, @@global.event_scheduler='ON'", &Facts{Events: true}, "SELECT 'ON' AS `@@event_scheduler`, 'ON'='ON'"},
		{"SET @a=@@event_scheduler", &Facts{}, "SET @a=@@event_scheduler"},
		{"SELECT /* row_count() */ 1", known, "SELECT /* row_count() */ 1"},
	} {
		if got := Substitute(tc.text, Dialect{MariaDB: true, Version: 101119}, tc.facts); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.text, got, tc.want)
		}
	}
}
