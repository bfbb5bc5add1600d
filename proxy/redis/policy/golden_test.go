package policy

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the code does now")

// checkGolden compares a golden file with what it should be.
func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Errorf("%s:%d:\n got %s\nwant %s", file, i+1, g, w)
		}
	}
}

// readCases returns the lines of a golden file, which is its own list of cases:
// what stands before " => " is the input. Comments and blank lines are kept.
func readCases(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// parseWords splits a command of a golden file. A word in double quotes is a Go
// string literal without blanks.
func parseWords(t *testing.T, s string) [][]byte {
	t.Helper()
	var args [][]byte
	for _, w := range strings.Fields(s) {
		if w[0] == '"' {
			u, err := strconv.Unquote(w)
			if err != nil {
				t.Fatalf("%s: %v", w, err)
			}
			w = u
		}
		args = append(args, []byte(w))
	}
	return args
}

func formatWords(args [][]byte) string {
	parts := make([]string, len(args))
	for i, a := range args {
		if name := ScriptName(a); name != "" {
			parts[i] = "<" + name + ">"
			continue
		}
		parts[i] = string(a)
		if q := strconv.Quote(parts[i]); q != `"`+parts[i]+`"` || len(a) == 0 || bytes.ContainsRune(a, ' ') {
			parts[i] = q
		}
	}
	return strings.Join(parts, " ")
}

func TestPolicyGolden(t *testing.T) {
	var b strings.Builder
	for _, s := range NewTable().Specs() {
		fmt.Fprintf(&b, "%s %s\n", s.Name, s.Policy)
	}
	checkGolden(t, "testdata/policy.golden", b.String())
}

// TestFormsGolden: the policy of single forms of commands.
func TestFormsGolden(t *testing.T) {
	const file = "testdata/forms.golden"
	table := NewTable()
	var b strings.Builder
	for _, line := range readCases(t, file) {
		if line == "" || line[0] == '#' {
			b.WriteString(line + "\n")
			continue
		}
		input, _, _ := strings.Cut(line, " => ")
		d := table.Lookup(parseWords(t, input), testContext)
		fmt.Fprintf(&b, "%s => %s\n", input, strings.TrimSpace(d.Policy.String()+" "+d.Err))
	}
	checkGolden(t, file, b.String())
}

// TestRewriteGolden: "now | command => rewritten (deadline) | error".
func TestRewriteGolden(t *testing.T) {
	const file = "testdata/rewrite.golden"
	var b strings.Builder
	cases := 0
	for _, line := range readCases(t, file) {
		if line == "" || line[0] == '#' {
			b.WriteString(line + "\n")
			continue
		}
		cases++
		input, _, _ := strings.Cut(line, " => ")
		at, command, _ := strings.Cut(input, " | ")
		now, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out, deadline, errText := RewriteTime(parseWords(t, command), now)
		switch {
		case errText != "":
			fmt.Fprintf(&b, "%s => error %s\n", input, errText)
		case deadline != 0:
			fmt.Fprintf(&b, "%s => %s (%d)\n", input, formatWords(out), deadline)
		default:
			fmt.Fprintf(&b, "%s => %s (none)\n", input, formatWords(out))
		}
	}
	if cases < 150 {
		t.Errorf("%d cases, want at least 150", cases)
	}
	checkGolden(t, file, b.String())
}
