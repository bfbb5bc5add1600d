//go:build clients

package mysql

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// need makes sure that a probe succeeds, by installing packages of Debian where it does not.
func need(t *testing.T, probe []string, packages ...string) {
	t.Helper()
	if exec.Command(probe[0], probe[1:]...).Run() == nil {
		return
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Getuid() != 0 {
		t.Fatalf("this test needs Debian's packages %s: install them, or run it as root where apt-get is", strings.Join(packages, ", "))
	}
	t.Log("installing", packages)
	run(t, "", apt, "update", "-q")
	run(t, "", apt, append([]string{"install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"}, packages...)...)
	if out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s, after installing %s: %v\n%s", strings.Join(probe, " "), strings.Join(packages, ", "), err, out)
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// needNode makes sure that the libraries of package-lock.json are there.
func needNode(t *testing.T) {
	t.Helper()
	need(t, []string{"npm", "--version"}, "nodejs", "npm")
	const dir = "node"
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	installed, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	if err != nil || installed.ModTime().Before(lock.ModTime()) {
		run(t, dir, "npm", "ci", "--ignore-scripts")
	}
}

// python is Debian's own interpreter, for which its packages of libraries are.
const python = "/usr/bin/python3"

const connectorJ = "/usr/share/java/mariadb-java-client.jar"
