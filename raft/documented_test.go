package raft_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedCode compiles and runs the code of docs/raft-library.md as a program of its own, with the Store of the
// example.
func TestDocumentedCode(t *testing.T) {
	doc, err := os.ReadFile("../docs/raft-library.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(doc), "```go\n")
	code, _, closed := strings.Cut(code, "```")
	if !ok || !closed || !strings.Contains(code, "raft.New(cfg)") {
		t.Fatal("the document has no code")
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(example), "\n"); n >= 150 {
		t.Errorf("the example has %d lines, want fewer than 150", n)
	}
	_, store, ok := strings.Cut(string(example), "// register is a Store")
	store, _, closed = strings.Cut(store, "// Three members")
	if !ok || !closed {
		t.Fatal("the example has no Store")
	}
	dir, url := t.TempDir(), freeURL()
	code = strings.NewReplacer(
		`"http://10.0.0.1:9021", "http://10.0.0.2:9021", "http://10.0.0.3:9021"`, fmt.Sprintf("%q", url),
		`"http://10.0.0.1:9021"`, fmt.Sprintf("%q", url),
		`"/var/lib/app"`, fmt.Sprintf("%q", filepath.Join(dir, "data")),
	).Replace(code)
	program := `package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/nexus-replication/nexus/raft"
)

// register is a Store` + store + `
func main() {
	ctx := context.Background()
	store := &register{values: make(map[string]string)}
` + code + `
	if err != nil {
		panic(err)
	}
	fmt.Println("colour is", store.get("colour"))
}
`
	// The compiler is told that the program is a package of this module, which it has to be to find package raft.
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "documented", "main.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "-overlay", filepath.Join(dir, "overlay.json"), "./documented")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "colour was \"\"\n") || !strings.Contains(string(out), "colour is red\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
