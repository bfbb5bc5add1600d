package statement

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/statements.golden anew: read the difference before it is committed")

var mariadb = Dialect{MariaDB: true, Version: 101119}

// describe is how the golden file shows a statement.
func describe(s Statement) string {
	var b strings.Builder
	b.WriteString(s.Kind.String())
	if s.Verb != "" {
		fmt.Fprintf(&b, " [%s]", s.Verb)
	}
	if s.Reason != "" {
		fmt.Fprintf(&b, ": %s", s.Reason)
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"read only", s.Access == ReadOnly}, {"read write", s.Access == ReadWrite}, {"snapshot", s.Snapshot},
		{"session", s.Session}, {"chain", s.Chain}, {"release", s.Release}, {"query only", s.QueryOnly}, {"local file", s.LocalFile}, {"numbers", s.Numbers}, {"locks", s.Locks}, {"writes a file", s.WritesFile},
		{"writes", s.Writes}, {"everything", s.Everything},
	} {
		if f.set {
			b.WriteString(", " + f.name)
		}
	}
	if s.Isolation != "" {
		fmt.Fprintf(&b, ", isolation %s", s.Isolation)
	}
	if s.Name != "" {
		fmt.Fprintf(&b, ", name %q", s.Name)
	}
	if s.Text != "" {
		fmt.Fprintf(&b, ", text %q", s.Text)
	}
	if s.Expression != "" {
		fmt.Fprintf(&b, ", expression %q", s.Expression)
	}
	if s.Using != "" {
		fmt.Fprintf(&b, ", parameters %q", s.Using)
	}
	if s.Syntax {
		fmt.Fprintf(&b, ", near %q on line %d", s.Near, s.Line)
	}
	if s.Definer != nil && s.Definer.Said != "" {
		fmt.Fprintf(&b, ", definer %q", s.Definer.Said)
	}
	if len(s.Roles) > 0 {
		fmt.Fprintf(&b, ", roles %q", s.Roles)
	}
	if s.Engine != "" {
		fmt.Fprintf(&b, ", not engine %s", s.Engine)
	}
	if s.Chance != "" {
		fmt.Fprintf(&b, ", chance %q", s.Chance)
	}
	if s.Rewritten != "" {
		fmt.Fprintf(&b, ", rewritten %q", s.Rewritten)
	}
	if len(s.Tables) > 0 && s.Kind != DDL {
		fmt.Fprintf(&b, ", tables %q", s.Tables)
	}
	if s.Target != 0 {
		fmt.Fprintf(&b, ", target %d", s.Target)
	}
	if s.Settings != "" && s.Kind != Read && s.Kind != Write {
		fmt.Fprintf(&b, ", settings %q", s.Settings)
	}
	for _, a := range s.Assignments {
		at := ""
		if a.User {
			at = "@"
		}
		if a.Global {
			at = "global "
		}
		fmt.Fprintf(&b, ", %s%s = %q", at, a.Name, a.Value)
	}
	return b.String()
}

// golden is one statement of the golden file: its text, with escapes, then what is expected after a tab. A line
// that begins with ## is a heading.
type golden struct{ heading, statement, want string }

func readGolden(t *testing.T, path string) []golden {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []golden
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		want, isWant := strings.CutPrefix(line, "\t")
		switch {
		case isWant:
			list[len(list)-1].want = want
		case strings.HasPrefix(line, "## "):
			list = append(list, golden{heading: line})
		default:
			list = append(list, golden{statement: line})
		}
	}
	return list
}

// escapes are those of the golden file.
var escapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")

func TestGolden(t *testing.T) {
	const path = "testdata/statements.golden"
	var out strings.Builder
	statements := 0
	for _, g := range readGolden(t, path) {
		if g.heading != "" {
			fmt.Fprintln(&out, g.heading)
			continue
		}
		statements++
		got := describe(Classify(escapes.Replace(g.statement), mariadb))
		fmt.Fprintf(&out, "%s\n\t%s\n", g.statement, got)
		if got != g.want && !*update {
			t.Errorf("%s\n got %s\nwant %s", g.statement, got, g.want)
		}
	}
	if statements < 400 {
		t.Errorf("%d statements, want 400 at least", statements)
	}
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
