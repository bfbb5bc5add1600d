package statement

import "testing"

func TestByDefaultAlgorithm(t *testing.T) {
	for text, want := range map[string]string{
		"ALTER TABLE t ADD INDEX (b), ALGORITHM=INPLACE, LOCK=NONE":                                                           "ALTER TABLE t ADD INDEX (b), ALGORITHM=DEFAULT, LOCK=DEFAULT",
		"alter table t algorithm instant, lock = exclusive, add b int default 'LOCK=NONE'":                                    "alter table t algorithm DEFAULT, lock = DEFAULT, add b int default 'LOCK=NONE'",
		"ALTER TABLE t ADD a INT, /*!50600 ALGORITHM=NOCOPY */":                                                               "ALTER TABLE t ADD a INT, /*!50600 ALGORITHM=DEFAULT */",
		"SET STATEMENT max_statement_time=1 FOR ALTER TABLE t FORCE, ALGORITHM=COPY":                                          "SET STATEMENT max_statement_time=1 FOR ALTER TABLE t FORCE, ALGORITHM=DEFAULT",
		"ALTER ONLINE IGNORE TABLE online ADD online INT":                                                                     "ALTER  IGNORE TABLE online ADD online INT",
		"CREATE ONLINE UNIQUE INDEX i ON t (a) LOCK SHARED ALGORITHM = INPLACE":                                               "CREATE  UNIQUE INDEX i ON t (a) LOCK DEFAULT ALGORITHM = DEFAULT",
		"DROP ONLINE INDEX i ON t":                                                                                            "DROP  INDEX i ON t",
		"ALTER TABLE t CHANGE algorithm copy INT, DROP COLUMN algorithm":                                                      "ALTER TABLE t CHANGE algorithm copy INT, DROP COLUMN algorithm",
		"ALTER TABLE t ADD `lock` INT, ALGORITHM=DEFAULT, LOCK=NOSUCH":                                                        "ALTER TABLE t ADD `lock` INT, ALGORITHM=DEFAULT, LOCK=NOSUCH",
		"SET STATEMENT alter_algorithm='NOCOPY', max_statement_time=1 FOR ALTER TABLE t ADD CHECK (alter_algorithm='NOCOPY')": "SET STATEMENT alter_algorithm='DEFAULT', max_statement_time=1 FOR ALTER TABLE t ADD CHECK (alter_algorithm='NOCOPY')",
		"CREATE ALGORITHM=MERGE VIEW v AS SELECT 1":                                                                           "CREATE ALGORITHM=MERGE VIEW v AS SELECT 1",
		"CREATE PROCEDURE p() ALTER TABLE t FORCE, LOCK=NONE":                                                                 "CREATE PROCEDURE p() ALTER TABLE t FORCE, LOCK=NONE",
		"ALTER TABLE t ADD b INT COMMENT \"it's \\\" LOCK=NONE\"":                                                             "ALTER TABLE t ADD b INT COMMENT \"it's \\\" LOCK=NONE\"",
	} {
		d := Dialect{MariaDB: true, Version: 101119}
		what := Classify(text, d)
		if got := what.ByDefaultAlgorithm(text, d); got != want {
			t.Errorf("%s\nis     %s\nwant   %s", text, got, want)
		}
	}
}
