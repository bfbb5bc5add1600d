package mysqltest

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// sample is what every run does.
var sample = []string{"bool", "case", "count_distinct", "having", "insert_select", "null", "order_by_zerolength-4285", "replace", "truncate", "union"}

// TestSuite fails where the outcome of a test is worse than what the golden file says, or servers do not hold the same.
func TestSuite(t *testing.T) {
	if _, err := exec.LookPath("mariadb-test"); err != nil {
		t.Skip("mariadb-test is not installed: on Debian, apt-get install mariadb-test")
	}
	expected := readGolden(t)
	names := chosen(t, expected)
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	l := newLab(t, dir)
	var got []outcome
	for i, name := range names {
		o := l.test(t, name)
		got = append(got, o)
		if *all || *only != "" {
			fmt.Printf("%d/%d %s\n", i+1, len(names), o)
		}
		if o.result == unequal {
			t.Errorf("the servers do not hold the same: %s", o)
		}
	}
	t.Log(summary(got))
	if *update {
		writeGolden(t, expected, got)
		return
	}
	for _, o := range got {
		at := slices.IndexFunc(expected, func(e outcome) bool { return e.name == o.name })
		switch {
		case at < 0 || expected[at].result == o.result:
		case expected[at].result == same:
			t.Errorf("%s: %s, want %s: %s. If that is meant, run it with -update", o.name, o.result, same, o.reason)
		default:
			t.Logf("%s: %s, was %s: run it with -update", o.name, o.result, expected[at].result)
		}
	}
}

// chosen are the names of the tests to be run.
func chosen(t *testing.T, expected []outcome) []string {
	t.Helper()
	if *only != "" {
		return strings.Split(*only, ",")
	}
	if !*all {
		return sample
	}
	n, of := 1, 1
	if *part != "" {
		if _, err := fmt.Sscanf(*part, "%d/%d", &n, &of); err != nil || n < 1 || n > of {
			t.Fatalf("flag -part: %q, want such as 2/5", *part)
		}
	}
	var names []string
	for i, o := range expected {
		if i*of/len(expected) == n-1 {
			names = append(names, o.name)
		}
	}
	return names
}
