package redissuite

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// printed is what the suite says of a unit.
type printed struct {
	passed []string
	failed []failure
	// stopped is empty if the unit came to its end. Otherwise it says why not, and at is the case it stopped at, if that
	// is known.
	stopped, at string
}

// failure is a case that failed, with the first line of the reason.
type failure struct{ name, why string }

var (
	passedLine  = regexp.MustCompile(`^\[ok\]: (.*) \(\d+ ms\)$`)
	failedLine  = regexp.MustCompile(`^\[err\]: (.*?)(?: in tests/\S+\.tcl)?$`)
	taggedLine  = regexp.MustCompile(`^\[(?:ok|err|skip|ignore|exception|ready|TIMEOUT|\d+/\d+ done)\]`)
	doneLine    = regexp.MustCompile(`^\[\d+/\d+ done\]`)
	thrownLine  = regexp.MustCompile(`^\[exception\]: (?:Executing test client: )?(.*?)\.?$`)
	hungLine    = regexp.MustCompile(`=> \(IN PROGRESS\) (.*)$`)
	thrownWhere = regexp.MustCompile(`^"test (?:\{([^}]*)\}|"([^"]*)"|(\S+)) `)
)

// stoppedSilent is how a unit is stopped in which a case waits for longer than -quiet.
const stoppedSilent = "hangs"

// blockName stands for a case whose name the suite does not say: what lies between cases failed.
const blockName = "(between cases)"

// parse reads what the suite prints. Of cases with the same name, the second is called NAME (2), and so on.
func parse(out string) printed {
	p := printed{stopped: "the suite ended"}
	seen := make(map[string]int)
	numbered := func(name string) string {
		if seen[name]++; seen[name] > 1 {
			return fmt.Sprintf("%s (%d)", name, seen[name])
		}
		return name
	}
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		switch {
		case strings.TrimSpace(line) == "The End":
			return p
		case passedLine.MatchString(line):
			p.passed = append(p.passed, numbered(passedLine.FindStringSubmatch(line)[1]))
		case strings.HasPrefix(line, "[err]: "):
			p.failed = append(p.failed, parseFailure(lines[i:], numbered))
		case strings.HasPrefix(line, "[exception]: "):
			p.stopped = thrownLine.FindStringSubmatch(line)[1]
			p.at = caseOf(lines[i:])
		case strings.HasPrefix(line, "[TIMEOUT]"):
			p.stopped = stoppedSilent
		case hungLine.MatchString(line):
			p.at = hungLine.FindStringSubmatch(line)[1]
		case doneLine.MatchString(line):
			p.stopped, p.at = "", ""
		}
	}
	return p
}

// parseFailure reads the lines of a failed case, and perhaps some behind them.
func parseFailure(lines []string, numbered func(string) string) failure {
	first := failedLine.FindStringSubmatch(lines[0])
	if !strings.Contains(lines[0], " in tests/") {
		return failure{numbered(blockName), oneLine(first[1])}
	}
	f := failure{name: numbered(first[1])}
	for i, line := range lines[1:min(3, len(lines))] {
		// Of an error that a case does not expect the suite cuts off the beginning, but tells all of it in the next line.
		if taggedLine.MatchString(line) || i == 1 && !strings.HasSuffix(line, lines[1]) {
			break
		}
		f.why = oneLine(line)
	}
	f.why, _, _ = strings.Cut(f.why, " (context: ") // where in the suite's own code
	return f
}

// caseOf finds in the trace of an error the case that it came from.
func caseOf(trace []string) string {
	for _, line := range trace {
		if found := thrownWhere.FindStringSubmatch(line); found != nil {
			return found[1] + found[2] + found[3]
		}
	}
	return ""
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.ToValidUTF8(s, "?")
}

func TestParse(t *testing.T) {
	p := parse(`Starting test server at port 21079
[ready]: 4711
Testing unit/x
[ok]: one (3 ms)
[ignore]: Tag: needs:debug denied
[skip]: left out
[err]: two in tests/unit/x.tcl
Expected 'a' to be equal to 'b' (context: type source line 87 file /suite/tests/support/test.tcl)
[ok]: one (0 ms)
[err]: three in tests/unit/type/x.tcl
not this
ERR do not this
    while executing
"r save"
[err]: out of a block
[1/1 done]: unit/x (0 seconds)

                   The End

*** [err]: two in tests/unit/x.tcl
`)
	if want := []string{"one", "one (2)"}; !slices.Equal(p.passed, want) {
		t.Errorf("passed %q, want %q", p.passed, want)
	}
	if want := []failure{{"two", "Expected 'a' to be equal to 'b'"}, {"three", "ERR do not this"}, {blockName, "out of a block"}}; !slices.Equal(p.failed, want) {
		t.Errorf("failed %q, want %q", p.failed, want)
	}
	if p.stopped != "" {
		t.Errorf("stopped: %s", p.stopped)
	}
	for out, want := range map[string]printed{
		"[exception]: Executing test client: ERR no.\nERR no\n    while executing\n\"r save\"\n    invoked from within\n\"test {SAVE works} {\n": {stopped: "ERR no", at: "SAVE works"},
		"[TIMEOUT]: clients state report follows.\nsock55 => (IN PROGRESS) Waits\n\n                   The End\n":                                {stopped: "hangs", at: "Waits"},
		"[ready]: 4711\n": {stopped: "the suite ended"},
	} {
		if got := parse(out); got.stopped != want.stopped || got.at != want.at {
			t.Errorf("%q: stopped by %q at %q, want %q at %q", out, got.stopped, got.at, want.stopped, want.at)
		}
	}
}
