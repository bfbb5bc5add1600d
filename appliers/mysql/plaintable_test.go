package mysql

import "testing"

// A definition is executed only if it makes its table and nothing else.
func TestPlainTable(t *testing.T) {
	const column = "CREATE TABLE `t` (\n  `a` int(11) DEFAULT (1 - -1)"
	for rest, want := range map[string]bool{
		"\n) ENGINE=InnoDB":                      true,
		"\n) ENGINE=InnoDB COMMENT='# ; select'": true,
		"\n) ENGINE=InnoDB\n PARTITION BY LIST (`a`)\n(PARTITION `p` VALUES IN (1) ENGINE = InnoDB)": true,
		" /*M!100301 COMPRESSED*/\n) ENGINE=InnoDB":                                                  true,
		",\n  FULLTEXT KEY `k` (`b`) /*!50100 WITH PARSER `x` */ \n) ENGINE=InnoDB":                  true,
		"\n) ENGINE=InnoDB /*!99999 ' */ as select 1 -- '":                                           false,
		"\n) ENGINE=InnoDB /* ' */ as select 1":                                                      false,
		"\n) AS (sElect 1)":                                                                          false,
		"\n) VALUES (1)":                                                                             false,
		"\n) ENGINE=InnoDB; DROP TABLE x":                                                            false,
		"\n) ENGINE=InnoDB#":                                                                         false,
		"\n) ENGINE=InnoDB-- ":                                                                       false,
		"\n) ENGINE=InnoDB COMMENT='":                                                                false,
		"":                                                                                           false,
		",\n  CONSTRAINT `x` CHECK(1)) AS SELECT * FROM mysql.global_priv#` FOREIGN KEY (`a`) REFERENCES `p` (`i`)\n) ENGINE=InnoDB":  false,
		",\n  CONSTRAINT `x`` CHECK(1)) AS SELECT * FROM mysql.global_priv#` FOREIGN KEY (`a`) REFERENCES `p` (`i`)\n) ENGINE=InnoDB": true,
		"\n)) ENGINE=InnoDB": false,
	} {
		if err := plainTable(&object{Name: "d.t", Statement: column + rest}); (err == nil) != want {
			t.Errorf("%s: %v", rest, err)
		}
	}
	for _, statement := range []string{"DROP TABLE `t`", "CREATE TABLE `u` (\n  `a` int\n)", "CREATE TABLE `t", "CREATE TABLE `t` LIKE `u`"} {
		if err := plainTable(&object{Name: "d.t", Statement: statement}); err == nil {
			t.Error(statement)
		}
	}
}
