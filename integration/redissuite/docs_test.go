package redissuite

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var docsFile = filepath.Join("..", "..", "docs", "redis-compatibility.md")

// TestDocs fails where the page does not say what the golden files say.
func TestDocs(t *testing.T) {
	if *update {
		writeDocs(t)
	}
	text, err := os.ReadFile(docsFile)
	check(t, err)
	if fill(t, string(text)) != string(text) {
		t.Errorf("%s is not what the golden files say: run this test with -update", docsFile)
	}
}

// writeDocs fills the page's tables and lists.
func writeDocs(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(docsFile)
	check(t, err)
	check(t, os.WriteFile(docsFile, []byte(fill(t, string(text))), 0o644))
}

// fill puts what the golden files say between the marks of the page.
func fill(t *testing.T, page string) string {
	t.Helper()
	r := report{leader: readGolden(t, goldenOf[false]), follower: readGolden(t, goldenOf[true])}
	for mark, text := range map[string]string{"<!-- table -->": r.table(t), "<!-- cases -->": r.cases(), "<!-- other -->": r.otherUnits(t)} {
		before, after, found := strings.Cut(page, mark+"\n")
		_, after, ended := strings.Cut(after, "<!-- end -->\n")
		if !found || !ended {
			t.Fatalf("%s has no part between %s and <!-- end -->", docsFile, mark)
		}
		page = before + mark + "\n" + text + "<!-- end -->\n" + after
	}
	return page
}

// report of what the golden files say.
type report struct{ leader, follower golden }

// table is about the units that are measured.
func (r report) table(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("| unit | plain | leader | follower |\n|---|---|---|---|\n")
	var leader, follower tally
	for _, unit := range measured {
		l, f := tallyOf(t, r.leader.of(unit)), tallyOf(t, r.follower.of(unit))
		leader, follower = leader.plus(l), follower.plus(f)
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", short(unit), l.text(l.plain), l.text(l.node), f.text(f.node))
	}
	fmt.Fprintf(&out, "\nOf the %d cases that pass on the plain server, %d pass through the leader: %s.\n", leader.plain, leader.both, percent(leader))
	if follower.plain > 0 {
		fmt.Fprintf(&out, "Through a follower %d of %d: %s.\n", follower.both, follower.plain, percent(follower))
	}
	return out.String()
}

// otherUnits is the table of the units beyond the measure.
func (r report) otherUnits(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("| unit | plain | leader | follower | what does not pass, and why |\n|---|---|---|---|---|\n")
	var nothing []string
	for _, unit := range others {
		of := r.leader.of(unit)
		l, f := tallyOf(t, of), tallyOf(t, r.follower.of(unit))
		if l.plain == 0 && l.node == 0 {
			nothing = append(nothing, short(unit))
			continue
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", short(unit), l.text(l.plain), l.text(l.node), f.text(f.node), r.notes(unit))
	}
	fmt.Fprintf(&out, "\nOf these nothing runs on a server that is there already: %s.\n", strings.Join(nothing, ", "))
	return out.String()
}

// notes are what does not pass of a unit, each reason once.
func (r report) notes(unit string) string {
	var reasons []string
	names := make(map[string][]string)
	for _, e := range r.merged(unit) {
		if _, there := names[e.reason]; !there {
			reasons = append(reasons, e.reason)
		}
		names[e.reason] = append(names[e.reason], e.note())
	}
	for i, reason := range reasons {
		reasons[i] = strings.Join(names[reason], ", ") + ": " + reason
	}
	return strings.Join(reasons, "; ")
}

// cases is the list of what does not pass of the units that are measured, by the reason.
func (r report) cases() string {
	byReason := make(map[string][]entry)
	for _, unit := range measured {
		for _, e := range r.merged(unit) {
			byReason[e.reason] = append(byReason[e.reason], e)
		}
	}
	reasons := make([]string, 0, len(byReason))
	for reason := range byReason {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		return cmp.Or(len(byReason[b])-len(byReason[a]), strings.Compare(a, b))
	})
	var out strings.Builder
	for _, reason := range reasons {
		fmt.Fprintf(&out, "* %s:\n", reason)
		unit := ""
		for _, e := range byReason[reason] {
			if e.unit != unit {
				if unit != "" {
					out.WriteString("\n")
				}
				unit = e.unit
				fmt.Fprintf(&out, "  * %s: ", short(unit))
			} else {
				out.WriteString(", ")
			}
			out.WriteString(e.note())
		}
		out.WriteString("\n")
	}
	return out.String()
}

// merged are the entries of a unit but for the counts, of both files.
func (r report) merged(unit string) golden {
	var list golden
	of := r.leader.of(unit)
	for _, e := range of {
		if e.result != counts {
			list = append(list, e)
		}
	}
	for _, e := range r.follower.of(unit) {
		if _, there := of.find(e.name, fails, sometimes, skipped, stops, leaves); !there && e.result != counts {
			e.name += followerOnly
			list = append(list, e)
		}
	}
	return list
}

// followerOnly stands behind the name of what a follower alone does.
const followerOnly = " (through a follower)"

// note says in a few words what an entry says, without the reason.
func (e entry) note() string {
	name, where := strings.TrimSuffix(e.name, followerOnly), ""
	if name != e.name {
		where = followerOnly
	}
	text := "*" + name + "*" + where
	switch e.result {
	case sometimes:
		text += ", now and then"
	case skipped:
		text += ", which is left out"
	case stops:
		text = "does not come to its end" + where
	case leaves:
		text = "leaves `" + name + "` changed" + where
	}
	return text
}

func tallyOf(t *testing.T, g golden) tally {
	t.Helper()
	e, there := g.find(wholeUnit, counts)
	if !there {
		return tally{}
	}
	c, err := parseTally(e.reason)
	check(t, err)
	return c
}

func (c tally) plus(other tally) tally {
	return tally{c.plain + other.plain, c.node + other.node, c.both + other.both}
}

// text is a number of the table, or nothing where the unit was not run.
func (c tally) text(n int) string {
	if c == (tally{}) {
		return ""
	}
	return fmt.Sprint(n)
}

func percent(c tally) string {
	if c.plain == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(c.both)/float64(c.plain))
}

func short(unit string) string { return strings.TrimPrefix(unit, "unit/") }
