package mysqltest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// goldenFiles are for the suite "main" and for the others, of which the tests are named "suite/test".
var goldenFiles = []string{"testdata/main.golden", "testdata/suites.golden"}

func goldenFile(name string) string {
	if strings.Contains(name, "/") {
		return goldenFiles[1]
	}
	return goldenFiles[0]
}

// Outcomes of a test.
const (
	same    = "same"    // prints through a node exactly what it prints directly
	differs = "differs" // prints something else
	stopped = "stopped" // is broken off by an error that it does not meet directly
	skipped = "skipped" // does not run on a server that others have started
	unequal = "unequal" // leaves servers that hold different data: never expected
)

// outcome of one test, with the reason.
type outcome struct{ name, result, reason string }

func (o outcome) String() string {
	return strings.TrimRight(fmt.Sprintf("%s\t%s\t%s", o.name, o.result, o.reason), "\t")
}

func readGolden(t *testing.T) []outcome {
	t.Helper()
	var list []outcome
	for _, file := range goldenFiles {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			fields := append(strings.Split(strings.TrimSpace(line), "\t"), "", "")
			if fields[0] != "" {
				list = append(list, outcome{fields[0], fields[1], fields[2]})
			}
		}
	}
	return list
}

// writeGolden puts outcomes in the place of what is expected.
func writeGolden(t *testing.T, expected, got []outcome) {
	t.Helper()
	merged := slices.Clone(expected)
	for _, o := range got {
		at := slices.IndexFunc(merged, func(e outcome) bool { return e.name == o.name })
		if at < 0 {
			merged = append(merged, o)
			continue
		}
		merged[at] = o
	}
	slices.SortFunc(merged, func(a, b outcome) int { return strings.Compare(a.name, b.name) })
	texts := make(map[string]string)
	for _, o := range merged {
		texts[goldenFile(o.name)] += o.String() + "\n"
	}
	for _, file := range goldenFiles {
		if err := os.WriteFile(file, []byte(texts[file]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// summary is the table of how many tests came out how, and why.
func summary(got []outcome) string {
	results, reasons := map[string]int{}, map[string][]string{}
	for _, o := range got {
		results[o.result]++
		if o.result == differs || o.result == stopped {
			reasons[o.result+": "+o.reason] = append(reasons[o.result+": "+o.reason], o.name)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d tests: %d same, %d differ, %d stopped, %d unequal; %d do not count\n",
		len(got), results[same], results[differs], results[stopped], results[unequal], results[skipped])
	var lines []string
	for reason, names := range reasons {
		lines = append(lines, fmt.Sprintf("%3d  %s (%s)", len(names), reason, strings.Join(names, " ")))
	}
	slices.Sort(lines)
	slices.Reverse(lines)
	return out.String() + strings.Join(lines, "\n")
}
