package statement

import "testing"

func TestAsRole(t *testing.T) {
	for text, want := range map[string]string{
		"SET DEFAULT ROLE current_role FOR b":   "SET DEFAULT ROLE `r` FOR b",
		"DROP ROLE `current_role`, a":           "DROP ROLE `current_role`, a",
		"DROP ROLE current_role, a":             "DROP ROLE `r`, a",
		"GRANT a, current_role TO current_role": "GRANT a, `r` TO current_role",
		"GRANT SELECT ON t TO current_role":     "GRANT SELECT ON t TO current_role",
	} {
		d := Dialect{MariaDB: true, Version: 101119}
		s := Classify(text, d)
		if got := s.AsRole(text, d, "`r`"); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestAsAccount(t *testing.T) {
	for text, want := range map[string]string{
		"SET PASSWORD = PASSWORD('x')":                  "SET PASSWORD FOR `a`@`%` = PASSWORD('x')",
		"SET PASSWORD FOR b = PASSWORD('x')":            "SET PASSWORD FOR b = PASSWORD('x')",
		"SET PASSWORD FOR CURRENT_USER() = ''":          "SET PASSWORD FOR `a`@`%` = ''",
		"SET DEFAULT ROLE r;":                           "SET DEFAULT ROLE r FOR `a`@`%`;",
		"SET DEFAULT ROLE NONE FOR b":                   "SET DEFAULT ROLE NONE FOR b",
		"ALTER USER current_user IDENTIFIED BY 'x'":     "ALTER USER `a`@`%` IDENTIFIED BY 'x'",
		"GRANT SELECT ON t TO CURRENT_USER ( ), c":      "GRANT SELECT ON t TO `a`@`%`, c",
		"CREATE ROLE r WITH ADMIN CURRENT_USER":         "CREATE ROLE r WITH ADMIN `a`@`%`",
		"DROP USER 'CURRENT_USER', `CURRENT_USER`":      "DROP USER 'CURRENT_USER', `CURRENT_USER`",
		"CREATE VIEW v AS SELECT CURRENT_USER()":        "CREATE VIEW v AS SELECT CURRENT_USER()",
		"SET PASSWORD /*! = */ PASSWORD('x') /* FOR */": "SET PASSWORD FOR `a`@`%` /*! = */ PASSWORD('x') /* FOR */",
	} {
		d := Dialect{MariaDB: true, Version: 101119}
		s := Classify(text, d)
		if got := s.AsAccount(text, d, "`a`@`%`"); got != want {
			t.Errorf("%s (%s): %s, want %s", text, s.Verb, got, want)
		}
	}
}
