package statement

import "testing"

func TestNamingView(t *testing.T) {
	d := Dialect{MariaDB: true, Version: 101114}
	for text, want := range map[string]string{
		"CREATE VIEW v AS SELECT 1":                                                     "CREATE VIEW x.y AS SELECT 1",
		"create or replace view if not exists `a`.`b``c`(d) as table t":                 "CREATE or replace view if not exists x.y(d) as table t",
		"ALTER ALGORITHM=MERGE DEFINER=a@b SQL SECURITY INVOKER VIEW a . v AS SELECT 1": "CREATE ALGORITHM=MERGE DEFINER=a@b SQL SECURITY INVOKER VIEW x.y AS SELECT 1",
		"/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50001 VIEW `v` AS SELECT 1 */":       "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50001 VIEW x.y AS SELECT 1 */",
		"SET STATEMENT sql_mode='' FOR CREATE VIEW v AS SELECT 1":                       "SET STATEMENT sql_mode='' FOR CREATE VIEW x.y AS SELECT 1",
		"CREATE VIEW": "",
	} {
		what := Classify(text, d)
		if got := NamingView(text, d, what.Inner, "x.y"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}
