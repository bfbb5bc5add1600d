package clustertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// earlier is the commit that stands for the previous version as long as none is tagged.
const earlier = "28cb7be"

// PreviousVersion builds a program of cmd/ as it was at the newest tag before this commit, or else at the commit earlier.
func PreviousVersion(t *testing.T, program string) string {
	t.Helper()
	root, _ := git(t, ".", "rev-parse", "--show-toplevel") // what fails below, where there is no repository, says so
	version := earlier
	if tags, err := git(t, root, "tag", "--merged", "HEAD^", "--sort=-version:refname", "--list", "v*"); err == nil && tags != "" {
		version, _, _ = strings.Cut(tags, "\n")
	}
	if _, err := git(t, root, "rev-parse", "--verify", "--quiet", version+"^{commit}"); err != nil {
		t.Skipf("NOT TESTED: an upgrade. Commit %s is not here: this needs git and the whole history (git fetch --unshallow)", version)
	}
	dir := t.TempDir()
	archive, source, binary := filepath.Join(dir, "source.tar"), filepath.Join(dir, "source"), filepath.Join(dir, program)
	_, err := git(t, root, "archive", "--output", archive, version)
	Check(t, err)
	Check(t, os.Mkdir(source, 0o755))
	for _, args := range [][]string{{"tar", "-C", source, "-xf", archive}, {"go", "build", "-C", source, "-trimpath", "-o", binary, "./cmd/" + program}} {
		if out, err := exec.CommandContext(Within(t, 3*time.Minute), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	t.Logf("the previous version is %s", version)
	return binary
}

func git(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(Within(t, 30*time.Second), "git", append([]string{"-C", dir}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}
