package redissuite

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// goldenOf are the files of what is expected, by the node that the suite goes through.
var goldenOf = map[bool]string{false: "testdata/leader.golden", true: "testdata/follower.golden"}

// What an entry of a golden file says.
const (
	counts    = "counts"    // of a unit: how many cases pass on the plain server, through the node, and on both
	stops     = "stops"     // of a unit: it does not come to its end through the node
	leaves    = "leaves"    // of a setting: the unit leaves it changed through the node, but not on the plain server
	fails     = "fails"     // of a case that passes on the plain server
	sometimes = "sometimes" // the same, now and then
	skipped   = "skipped"   // of a case that is not run through a node, for what it does to those behind it; it counts as failed
)

// entry of a golden file. name is that of a case, of a setting, or wholeUnit.
type entry struct{ unit, name, result, reason string }

const wholeUnit = "*"

func (e entry) String() string {
	return strings.TrimRight(strings.Join([]string{e.unit, e.name, e.result, e.reason}, "\t"), "\t")
}

// tally of a unit: how many cases pass on the plain server, through the node, and on both.
type tally struct{ plain, node, both int }

func (c tally) String() string { return fmt.Sprintf("%d %d %d", c.plain, c.node, c.both) }

func parseTally(text string) (c tally, err error) {
	_, err = fmt.Sscanf(text, "%d %d %d", &c.plain, &c.node, &c.both)
	return c, err
}

// golden is what is expected of all units.
type golden []entry

func readGolden(t *testing.T, file string) golden {
	t.Helper()
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	check(t, err)
	var g golden
	for line := range strings.Lines(string(data)) {
		f := append(strings.Split(strings.TrimSuffix(line, "\n"), "\t"), "")
		if len(f) < 4 {
			t.Fatalf("%s: %q is no entry", file, line)
		}
		g = append(g, entry{f[0], f[1], f[2], f[3]})
	}
	return g
}

func (g golden) write(t *testing.T, file string) {
	t.Helper()
	var out strings.Builder
	for _, e := range g {
		fmt.Fprintln(&out, e)
	}
	check(t, os.WriteFile(file, []byte(out.String()), 0o644))
}

// of are the entries of a unit.
func (g golden) of(unit string) golden {
	var list golden
	for _, e := range g {
		if e.unit == unit {
			list = append(list, e)
		}
	}
	return list
}

func (g golden) find(name string, results ...string) (entry, bool) {
	at := slices.IndexFunc(g, func(e entry) bool { return e.name == name && slices.Contains(results, e.result) })
	if at < 0 {
		return entry{}, false
	}
	return g[at], true
}

// skips are the names of the cases of a unit that are not run through a node.
func (g golden) skips() []string {
	var names []string
	for _, e := range g {
		if e.result == skipped {
			names = append(names, e.name)
		}
	}
	return names
}

// worse are what a unit did that is not expected of it.
func (g golden) worse(got golden) golden {
	var list golden
	for _, e := range got {
		expected := true
		switch e.result {
		case fails:
			_, expected = g.find(e.name, fails, sometimes, skipped)
		case stops, leaves:
			_, expected = g.find(e.name, e.result)
		}
		if !expected {
			list = append(list, e)
		}
	}
	return list
}

// update puts what a unit did in the place of what was expected of it. Reasons stay, and what happens only sometimes.
func (g golden) update(unit string, got golden) golden {
	former := g.of(unit)
	var fresh golden
	for _, e := range got {
		if f, ok := former.find(e.name, e.result); ok && e.result != counts {
			e.reason = f.reason
		}
		if _, kept := former.find(e.name, sometimes, skipped); !kept {
			fresh = append(fresh, e)
		}
	}
	for _, e := range former {
		if e.result == sometimes || e.result == skipped {
			fresh = append(fresh, e)
		}
	}
	at := slices.IndexFunc(g, func(e entry) bool { return e.unit == unit })
	rest := slices.DeleteFunc(slices.Clone(g), func(e entry) bool { return e.unit == unit })
	if at < 0 {
		at = len(rest)
	}
	return slices.Insert(rest, at, fresh...)
}

// judge compares what a unit printed on the plain server and through a node.
func judge(unit string, plain, node printed, left []string) golden {
	passes := make(map[string]bool, len(node.passed))
	for _, name := range node.passed {
		passes[name] = true
	}
	why := make(map[string]string)
	for _, f := range node.failed {
		why[f.name] = f.why
	}
	c := tally{plain: len(plain.passed), node: len(node.passed)}
	list := golden{{}}
	if node.stopped != "" && plain.stopped == "" {
		list = append(list, entry{unit, wholeUnit, stops, strings.TrimSuffix(node.stopped+" at "+node.at, " at ")})
	}
	for _, name := range left {
		list = append(list, entry{unit, name, leaves, ""})
	}
	for _, name := range plain.passed {
		reason, failed := why[name]
		switch {
		case passes[name]:
			c.both++
		case failed:
			list = append(list, entry{unit, name, fails, reason})
		case node.stopped == "": // otherwise it was not come to
			list = append(list, entry{unit, name, fails, "was not run"})
		}
	}
	list[0] = entry{unit, wholeUnit, counts, c.String()}
	return list
}

func TestJudge(t *testing.T) {
	plain := printed{passed: []string{"a", "b", "c", "d"}}
	node := printed{passed: []string{"a", "e"}, failed: []failure{{"b", "no"}, {"f", "no"}}}
	got := judge("u", plain, node, []string{"hz"})
	want := golden{{"u", "*", counts, "4 2 1"}, {"u", "hz", leaves, ""}, {"u", "b", fails, "no"}, {"u", "c", fails, "was not run"}, {"u", "d", fails, "was not run"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	expected := golden{{"t", "*", counts, "1 1 1"}, {"u", "b", fails, "the reason"}, {"u", "c", sometimes, "order"}, {"v", "*", counts, "1 1 1"}}
	if worse, want := expected.of("u").worse(got), (golden{got[1], got[4]}); !slices.Equal(worse, want) {
		t.Errorf("worse: %v, want %v", worse, want)
	}
	updated := golden{expected[0], got[0], got[1], {"u", "b", fails, "the reason"}, got[4], expected[2], expected[3]}
	if g := expected.update("u", got); !slices.Equal(g, updated) {
		t.Errorf("updated: %v, want %v", g, updated)
	}
	node.stopped, node.at = "hangs", "c"
	if got := judge("u", plain, node, nil); !slices.Equal(got[1:], golden{{"u", "*", stops, "hangs at c"}, {"u", "b", fails, "no"}}) {
		t.Errorf("%v", got)
	}
}
