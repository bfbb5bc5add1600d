package statement

import "testing"

func TestPlain(t *testing.T) {
	plain := Dialect{MariaDB: true, Version: 101100}
	ansi := plain
	ansi.AnsiQuotes = true
	for _, tc := range []struct {
		text, want string
		dialect    Dialect
	}{
		{"DROP/**/TABLE a.b -- c", "DROP TABLE a . b", plain},
		{"DROP TABLE`a`.`b`", "DROP TABLE `a` . `b`", plain},
		{`DROP TABLE "a"."b"`, "DROP TABLE `a` . `b`", ansi},
		{`DROP TABLE "a"."b"`, "DROP TABLE '' . ''", plain},
		{"DROP TABLE /*!50000 a*/ . # x\n b", "DROP TABLE a . b", plain},
		{"DROP TABLE /*!99999999 a*/b", "DROP TABLE b", plain},
		{"CREATE TABLE `a``b` (c INT COMMENT 'd.e' DEFAULT @f)", "CREATE TABLE `a``b` ( c INT COMMENT '' DEFAULT @ )", plain},
		{"DROP TABLE a 'b", "DROP TABLE a", plain},
	} {
		if got := Plain(tc.text, tc.dialect); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.text, got, tc.want)
		}
	}
}
