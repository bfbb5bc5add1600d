package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// completed is what each shell offers for a command line, whose last word is being typed.
var completed = []struct {
	line     string
	has      []string
	hasNever string
}{
	{"repl 127.0.0.1:9121 ", []string{"status", "addNode", "redis", "top"}, "http://"},
	{"repl 127.0.0.1:9121 redis ", []string{"save", "load"}, "status"},
	{"repl 127.0.0.1:9121 mysql ", []string{"save", "load"}, "status"},
	{"repl 127.0.0.1:9121 addNode ", []string{"http://"}, "status"},
	{"repl 127.0.0.1:9121 status -", []string{"-json", "-tls-ca", "-timeout"}, "status"},
	{"repl completion ", []string{"bash", "zsh"}, "status"},
}

func TestBashCompletes(t *testing.T) {
	const script = `source %s
COMP_WORDS=(%s) COMP_CWORD=%d
_repl
printf '%%s\n' "${COMPREPLY[@]}"
complete -p repl`
	testCompletion(t, "bash", []string{"--norc", "-c"}, script, func(line string) (string, int) {
		// The shell takes HOST:PORT apart at the colon.
		words := strings.Fields(strings.Replace(line, ":9121", " : 9121", 1))
		return endWord(words, line), len(words)
	}, "complete -o default -F _repl repl")
}

// Zsh completes inside its line editor only; these are the functions that it would call there.
func TestZshCompletes(t *testing.T) {
	const script = `compdef() { print -- "for $2" }
compadd() { print -l -- "${@:#-*}"; print -l -- "$@" }
_describe() { print -l -- "${(@P)2%%%%:*}" }
_files() { print files }
source %s
words=(%s) CURRENT=%d
_repl`
	testCompletion(t, "zsh", []string{"-f", "-c"}, script, func(line string) (string, int) {
		words := strings.Fields(line)
		return endWord(words, line), len(words) + 1
	}, "for repl")
}

// endWord quotes words, with an empty last one where the line ends with a space.
func endWord(words []string, line string) string {
	if strings.HasSuffix(line, " ") {
		words = append(slices.Clone(words), `""`)
	}
	return strings.Join(words, " ")
}

func testCompletion(t *testing.T, shell string, flags []string, script string, split func(line string) (words string, current int), registered string) {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s is not installed", shell)
	}
	code, text, stderr := run(t, "completion", shell)
	if code != exitOK {
		t.Fatalf("exit status %d: %s", code, stderr)
	}
	file := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range completed {
		words, current := split(tc.line)
		if !strings.HasSuffix(tc.line, " ") {
			current--
		}
		out, err := exec.Command(path, append(slices.Clone(flags), fmt.Sprintf(script, file, words, current))...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", tc.line, err, out)
			continue
		}
		offered := strings.Split(string(out), "\n")
		for _, want := range tc.has {
			if !slices.Contains(offered, want) {
				t.Errorf("%q: %s does not offer %s, but %q", tc.line, shell, want, offered)
			}
		}
		if slices.Contains(offered, tc.hasNever) {
			t.Errorf("%q: %s offers %s", tc.line, shell, tc.hasNever)
		}
		if !slices.Contains(offered, registered) {
			t.Errorf("%s does not ask for it: %q", shell, offered)
		}
	}
}

// Every verb that asks a node answers in JSON if that is wanted.
func TestEveryVerbSpeaksJSON(t *testing.T) {
	args := map[string][]string{
		"redis save": {"return 1"}, "redis load": {"return 1"}, "mysql save": {"select 1"}, "mysql load": {"select 1"},
		"addNode": {"http://127.0.0.1:9023"}, "removeNode": {"http://127.0.0.1:9023"}, "replaceNode": {"http://127.0.0.1:9023"},
		"backup": {filepath.Join(t.TempDir(), "backup")}, "watch": {"-count", "1"}, "top": {"-count", "1", "-interval", "100ms"},
	}
	for _, v := range verbs() {
		if v.offline || v.name == "backup" { // the fake node has no whole backup to send
			continue
		}
		f, addr := startFake(t)
		f.quick = true // nobody is told how far a change is
		line := append(append([]string{addr}, strings.Fields(v.name)...), args[v.name]...)
		_, stdout, stderr := run(t, append(line, "-json")...)
		if !json.Valid([]byte(stdout)) {
			t.Errorf("%s -json prints %q, %s", v.name, stdout, stderr)
		}
	}
}
