package statement

import "testing"

func TestReadShowWarnings(t *testing.T) {
	for _, tc := range []struct {
		text          string
		ok            bool
		count, errors bool
		from, to      int // of 5
	}{
		{"SHOW WARNINGS", true, false, false, 0, 5}, {"show /* x */ errors;", true, false, true, 0, 5}, {"SHOW COUNT(*) WARNINGS", true, true, false, 0, 5},
		{"SHOW COUNT ( * ) ERRORS", true, true, true, 0, 5}, {"SHOW WARNINGS LIMIT 2", true, false, false, 0, 2}, {"SHOW WARNINGS LIMIT 3, 9", true, false, false, 3, 5},
		{"SHOW WARNINGS LIMIT 1 OFFSET 2", true, false, false, 2, 3}, {"SHOW WARNINGS LIMIT 18446744073709551615 OFFSET 18446744073709551615", true, false, false, 5, 5},
		{"SHOW WARNINGS LIMIT 0", true, false, false, 0, 0}, {"SHOW WARNINGS LIMIT ?", false, false, false, 0, 0}, {"SHOW WARNINGS x", false, false, false, 0, 0},
		{"SHOW TABLES", false, false, false, 0, 0}, {"GET DIAGNOSTICS @n=NUMBER", false, false, false, 0, 0},
	} {
		s, ok := ReadShowWarnings(tc.text, Dialect{MariaDB: true, Version: 101119})
		if ok != tc.ok {
			t.Errorf("%s: %t", tc.text, ok)
		}
		if from, to := s.Window(5); ok && (s.Count != tc.count || s.Errors != tc.errors || from != tc.from || to != tc.to) {
			t.Errorf("%s: %+v, %d to %d", tc.text, s, from, to)
		}
	}
}
