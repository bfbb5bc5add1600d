package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// block is a fenced block of a document with commands.
type block struct {
	file string
	line int
	info string // what stands behind the fence
	text []string
}

func (b *block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// runs tells whether the tests are to run it. One that is not run says why.
func (b *block) runs() (runs bool, err error) {
	language, mark, _ := strings.Cut(b.info, " ")
	if language != "sh" && language != "console" {
		return false, nil
	}
	reason, not := strings.CutPrefix(mark, "not-run:")
	switch {
	case mark == "run":
		return true, nil
	case not && strings.TrimSpace(reason) != "":
		return false, nil
	}
	return false, fmt.Errorf("%v: ```%s is marked neither \"run\" nor \"not-run: REASON\"", b, b.info)
}

func (b *block) hasCommands() bool {
	return strings.HasPrefix(b.info, "sh ") || strings.HasPrefix(b.info, "console ")
}

// documents returns the blocks of README.md and docs/, and complains about commands outside of any.
func documents(t *testing.T) []block {
	t.Helper()
	files := must(filepath.Glob("../docs/*.md"))(t)
	files = append(files, "../README.md")
	indented := regexp.MustCompile(`^ {4,}(\$ |make |repl |redis_repl |mysql_repl |bin/|redis-cli |go (test|run) )`)
	var blocks []block
	for _, file := range files {
		var open *block
		indent := ""
		for i, line := range strings.Split(string(must(os.ReadFile(file))(t)), "\n") {
			bare := strings.TrimSpace(line)
			switch {
			case open == nil && strings.HasPrefix(bare, "```"):
				indent = line[:strings.Index(line, "```")]
				open = &block{file: strings.TrimPrefix(file, "../"), line: i + 1, info: strings.TrimPrefix(bare, "```")}
			case open != nil && bare == "```":
				blocks = append(blocks, *open)
				open = nil
			case open != nil:
				open.text = append(open.text, strings.TrimPrefix(line, indent))
			case indented.MatchString(line):
				t.Errorf("%s:%d: commands stand outside of a fenced block, where nobody sees whether they are run", file, i+1)
			}
		}
		if open != nil {
			t.Errorf("%v: the block does not end", open)
		}
	}
	return blocks
}

// TestDocumentedCommands runs what README.md and docs/ tell the reader to type, as marked, and compares what they say
// is printed. What is not run must at least name verbs, flags and targets that there are.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	blocks := documents(t)
	known := knownWords(t)
	ran := make(map[string]bool)
	for i := range blocks {
		b := &blocks[i]
		if _, err := b.runs(); err != nil {
			t.Error(err)
		}
		if b.hasCommands() {
			known.check(t, b)
		}
		if runs, _ := b.runs(); runs {
			ran[b.file] = true
		}
	}
	for file := range ran {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			d := newDocumented(t)
			for i := range blocks {
				if runs, _ := blocks[i].runs(); runs && blocks[i].file == file {
					d.run(t, &blocks[i])
				}
			}
		})
	}
}

// documented is a cluster that plays the one of the documents, with other ports.
type documented struct {
	dir   string
	ports map[string]string // of the documents, to those of the cluster
}

func newDocumented(t *testing.T) *documented {
	t.Helper()
	c := startCluster(t)
	d := &documented{dir: t.TempDir(), ports: make(map[string]string)}
	check(t, os.Symlink(binDir, filepath.Join(d.dir, "bin")))
	for i, n := range c.Nodes {
		for first, port := range map[int]int{7001: n.Ports.Client, 9021: n.Raft, 9121: n.GRPC, 9221: n.Metrics} {
			d.ports[strconv.Itoa(first+i)] = strconv.Itoa(port)
		}
	}
	return d
}

var numberWord = regexp.MustCompile(`\b[0-9]{4,5}\b`)

// here is a command with the ports of the cluster.
func (d *documented) here(command string) string {
	return numberWord.ReplaceAllStringFunc(command, func(n string) string {
		if port, ok := d.ports[n]; ok {
			return port
		}
		return n
	})
}

// there is output with the ports of the documents.
func (d *documented) there(output string) string {
	for doc, port := range d.ports {
		output = regexp.MustCompile(`\b`+port+`\b`).ReplaceAllString(output, doc)
	}
	return output
}

func (d *documented) run(t *testing.T, b *block) {
	t.Helper()
	if strings.HasPrefix(b.info, "sh ") {
		if out, err := d.shell(t, strings.Join(b.text, "\n")); err != nil {
			t.Errorf("%v: %v\n%s", b, err, out)
		}
		return
	}
	for i := 0; i < len(b.text); {
		command, ok := strings.CutPrefix(b.text[i], "$ ")
		if !ok {
			t.Fatalf("%v: %q is no command", b, b.text[i])
		}
		var want []string
		for i++; i < len(b.text) && !strings.HasPrefix(b.text[i], "$ "); i++ {
			want = append(want, b.text[i])
		}
		out, err := d.shell(t, command)
		if err != nil {
			t.Errorf("%v: %s: %v\n%s", b, command, err, out)
			continue
		}
		got := strings.Split(strings.TrimSuffix(d.there(out), "\n"), "\n")
		if len(want) > 0 && !slices.Equal(comparable(got), comparable(want)) {
			t.Errorf("%v: %s prints\n%s\nwhere the document has\n%s", b, command, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

const leaderMark = " (leader)"

var idWord = regexp.MustCompile(`\b[0-9a-f]{14,16}\b`)

// comparable leaves out of lines what is another in each run: ids, their order, and who leads.
func comparable(lines []string) []string {
	var out []string
	for _, line := range lines {
		line = strings.TrimSuffix(idWord.ReplaceAllString(line, "ID"), leaderMark)
		// What redis-cli adds for a person only.
		line = strings.TrimPrefix(strings.Trim(line, `"`), "(integer) ")
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func (d *documented) shell(t *testing.T, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(within(t, 60*time.Second), "bash", "-euo", "pipefail", "-c", d.here(script))
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// words that commands of the documents may use.
type words struct {
	verbs, targets map[string]bool
	flags          map[string]map[string]bool // by program
}

func knownWords(t *testing.T) *words {
	t.Helper()
	w := &words{verbs: make(map[string]bool), targets: make(map[string]bool), flags: make(map[string]map[string]bool)}
	flag := regexp.MustCompile(`(?m)^ +-([A-Za-z][A-Za-z-]*)`)
	also := regexp.MustCompile(`Also -([A-Za-z-]+)`)
	for _, program := range []string{"redis_repl", "repl", "mysql_repl"} {
		path := filepath.Join(binDir, program)
		var out []byte
		if program == "mysql_repl" {
			out = must(exec.CommandContext(within(t, 120*time.Second), "go", "run", "../cmd/mysql_repl", "-h").Output())(t)
		} else {
			out = must(exec.Command(path, "-h").Output())(t)
		}
		w.flags[program] = make(map[string]bool)
		for _, m := range append(flag.FindAllStringSubmatch(string(out), -1), also.FindAllStringSubmatch(string(out), -1)...) {
			w.flags[program][m[1]] = true
		}
		if program == "repl" {
			for _, m := range regexp.MustCompile(`(?m)^  ([A-Za-z]+) `).FindAllStringSubmatch(string(out), -1) {
				w.verbs[m[1]] = true
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z -]*):`).FindAllStringSubmatch(string(must(os.ReadFile("../Makefile"))(t)), -1) {
		for _, target := range strings.Fields(m[1]) {
			w.targets[target] = true
		}
	}
	return w
}

// check looks at the commands of a block that are of this project.
func (w *words) check(t *testing.T, b *block) {
	t.Helper()
	text := strings.ReplaceAll(strings.Join(b.text, "\n"), "\\\n", " ")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "$ "), " #")
		args := strings.Fields(line)
		if len(args) < 2 {
			continue
		}
		program := strings.TrimPrefix(args[0], "bin/")
		switch {
		case program == "make":
			if !strings.Contains(args[1], "=") && !w.targets[args[1]] {
				t.Errorf("%v: make has no target %s", b, args[1])
			}
		case w.flags[program] != nil:
			w.checkArgs(t, b, program, args[1:])
		}
	}
}

func (w *words) checkArgs(t *testing.T, b *block, program string, args []string) {
	t.Helper()
	seenVerb := false
	for i, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "-")
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), "=")
		switch {
		case isFlag && !w.flags[program][name]:
			t.Errorf("%v: %s has no flag -%s", b, program, name)
		case program == "repl" && !isFlag && !seenVerb && (i > 0 || arg == "completion"):
			seenVerb = true
			if !w.verbs[arg] {
				t.Errorf("%v: repl has no verb %s", b, arg)
			}
		}
	}
}
