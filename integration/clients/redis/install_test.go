//go:build clients

package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// findPython returns a Python that has redis-py and the queues. Another Python may stand before that of Debian in the PATH.
func findPython() (string, error) {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import redis, rq, celery").Run() == nil {
			return name, nil
		}
	}
	return "", errors.New("no python3 has the modules redis, rq and celery: run make test-clients, or install python3-redis, python3-rq and python3-celery")
}

// installNodeModules returns a directory with the packages of node/package-lock.json. It is made once for each lock file,
// in bin, which git ignores.
func installNodeModules() (string, error) {
	files := map[string][]byte{}
	h := sha256.New()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		content, err := os.ReadFile(filepath.Join("node", name))
		if err != nil {
			return "", err
		}
		files[name] = content
		h.Write(content)
	}
	base, err := filepath.Abs("../../../bin/clients")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "redis-"+hex.EncodeToString(h.Sum(nil))[:12])
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(base, "installing-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o644); err != nil {
			return "", err
		}
	}
	npm := exec.Command("npm", "ci")
	npm.Dir = fresh
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci of %s (needs Node 20 or later, npm and their registry): %w\n%s", base, err, out)
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return modules, nil
}
