// Package settingstest keeps files that are made from the settings of a program as they would be made now.
package settingstest

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/cmd/internal/settings"
)

var update = flag.Bool("update", false, "write the files that are made from the settings")

// Compare fails the test if the file at path is not what write writes; with -update it is written instead.
func Compare(t *testing.T, path string, write func(io.Writer) error) {
	t.Helper()
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the flags say: run the tests of this package with -update", path)
	}
}

// Sample compares the sample file of a program, and reads it: as it is, and with everything uncommented and the settings
// that are required given. declare returns the settings anew.
func Sample(t *testing.T, path string, declare func() *settings.Set, required map[string]string) {
	t.Helper()
	Compare(t, path, declare().WriteSample)
	sample, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for line := range strings.Lines(string(sample)) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
		}
		if name, _, _ := strings.Cut(line, ":"); required[name] != "" {
			line = name + ": " + required[name] + "\n"
		}
		all.WriteString(line)
	}
	full := filepath.Join(t.TempDir(), "full.yaml")
	if err := os.WriteFile(full, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, full} {
		if err := declare().Parse([]string{"-config", file}, func(string) string { return "" }); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
