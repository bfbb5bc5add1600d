//go:build clients

package redis

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is a line of a program.
type event struct {
	Event string `json:"event"`
	Name  string `json:"name"`
	ID    string `json:"id"`
	Error string `json:"error"`
}

// library is a program and how it is called.
type library struct {
	name     string
	protocol int
	argv     func() ([]string, error)
	// stays means that a client stays with its address: one of a node that is killed waits for it to come back.
	stays bool
}

func pythonProgram(script string) func() ([]string, error) {
	return func() ([]string, error) { return []string{python, script}, errNoPython }
}

func nodeProgram(script string, args ...string) func() ([]string, error) {
	return func() ([]string, error) { return append([]string{"node", script}, args...), errNoNodeLibs }
}

func goProgram(path *string) func() ([]string, error) {
	return func() ([]string, error) { return []string{*path}, nil }
}

// program is one that runs.
type program struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	errors bytes.Buffer

	mu     sync.Mutex
	events []event
	ended  chan struct{}
	err    error // after ended
}

// start runs argv in the directory of the programs. It is gone when the test ends.
func start(t *testing.T, argv ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.Dir = "programs"
	p.cmd.Env = append(os.Environ(), "NODE_PATH="+nodeModules, "PYTHONDONTWRITEBYTECODE=1")
	p.cmd.Stderr = &p.errors
	stdin, err := p.cmd.StdinPipe()
	check(t, err)
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	check(t, err)
	check(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended already, unless the test failed
		<-p.ended
	})
	go p.read(stdout)
	return p
}

func (p *program) read(stdout io.Reader) {
	defer close(p.ended)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{Event: "error", Error: fmt.Sprintf("not a report: %q", lines.Text())}
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		p.mu.Unlock()
	}
	p.err = p.cmd.Wait()
}

// all returns the events so far.
func (p *program) all() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]event(nil), p.events...)
}

// broken returns what the program has found wrong, or that it has ended too early.
func (p *program) broken() error {
	for _, e := range p.all() {
		if e.Event == "error" {
			return fmt.Errorf("%v: %s: %s", p.cmd.Args, e.Name, e.Error)
		}
	}
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("%v: %w\n%s", p.cmd.Args, p.err, p.errors.String())
		}
	default:
	}
	return nil
}

// awaitEnd waits until the program has ended as it should.
func (p *program) awaitEnd(t *testing.T, patience time.Duration) []event {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		check(t, p.broken())
		t.Fatalf("%v has not ended after %v; its last events: %v", p.cmd.Args, patience, last(p.all(), 5))
	}
	check(t, p.broken())
	events := p.all()
	if n := len(events); n == 0 || events[n-1].Event != "done" {
		t.Fatalf("%v ended without being done: %v", p.cmd.Args, last(events, 5))
	}
	return events
}

func last(events []event, n int) []event { return events[max(0, len(events)-n):] }

// run runs a library's program in one mode.
func (l library) run(t *testing.T, mode, prefix, instance string, addresses ...string) *program {
	t.Helper()
	argv, err := l.argv()
	check(t, err)
	if filepath.Base(argv[0]) == "node" || argv[0] == python {
		_, err := exec.LookPath(argv[0])
		check(t, err)
	}
	return start(t, append(argv, mode, strconv.Itoa(l.protocol), prefix, instance, strings.Join(addresses, ","))...)
}

// names lists the names of the events of a kind.
func names(events []event, kind string) []string {
	var names []string
	for _, e := range events {
		if e.Event == kind {
			names = append(names, e.Name)
		}
	}
	return names
}
