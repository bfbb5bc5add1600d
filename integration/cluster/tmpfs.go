package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tmpfs is a small file system in memory, which can run full. Mounting one takes privileges.
type Tmpfs struct{ dir string }

// MountTmpfs mounts one of so many megabytes at dir, which is made.
func MountTmpfs(dir string, megabytes int) (*Tmpfs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", megabytes), "nexus-test", dir).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("mount a tmpfs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return &Tmpfs{dir: dir}, nil
}

// Unmount ends it. Nobody may have a file open in it.
func (t *Tmpfs) Unmount() error {
	if out, err := exec.Command("umount", t.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount %s: %w: %s", t.dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Dir is a directory in it, for whoever uses it.
func (t *Tmpfs) Dir() string { return filepath.Join(t.dir, "data") }

func (t *Tmpfs) ballast() string { return filepath.Join(t.dir, "ballast") }

// Fill takes all space that is left.
func (t *Tmpfs) Fill() error {
	f, err := os.Create(t.ballast())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, zeros{})
	if err = errors.Join(err, f.Close()); err == nil || !strings.Contains(err.Error(), "no space left") {
		return fmt.Errorf("fill %s: %w", t.dir, err)
	}
	return nil
}

// Free gives it back.
func (t *Tmpfs) Free() error { return os.Remove(t.ballast()) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
