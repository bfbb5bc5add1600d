// Pack builds the programs and makes archives and Debian packages of them, the same byte for byte wherever and whenever
// it is run on one commit: no clock, user or directory of the machine goes in. It is what "make dist" runs.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// release is what is packed.
type release struct {
	version, commit, date string
	stamp                 time.Time // of every file
	source                string    // top of the checkout
}

// target is a platform.
type target struct{ os, arch string }

func main() {
	r := release{}
	targets := flag.String("targets", "", "platforms, as linux/amd64,darwin/arm64")
	out := flag.String("out", "dist", "directory for what is made")
	flag.StringVar(&r.version, "version", "dev", "version of the release")
	flag.StringVar(&r.commit, "commit", "unknown", "commit that is packed")
	flag.StringVar(&r.date, "date", "", "time of the commit, as 2026-01-02T15:04:05Z")
	flag.StringVar(&r.source, "source", ".", "top of the checkout")
	flag.Parse()
	if err := run(r, *targets, *out); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(r release, targets, out string) error {
	stamp, err := time.Parse(time.RFC3339, r.date)
	if err != nil {
		return fmt.Errorf("flag -date: %w", err)
	}
	r.stamp = stamp.UTC()
	list, err := parseTargets(targets)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, t := range list {
		if err := r.pack(t, out); err != nil {
			return fmt.Errorf("%s/%s: %w", t.os, t.arch, err)
		}
	}
	return nil
}

func parseTargets(s string) ([]target, error) {
	var list []target
	for _, name := range strings.Split(s, ",") {
		system, arch, ok := strings.Cut(name, "/")
		if !ok || system == "" || arch == "" {
			return nil, fmt.Errorf("flag -targets: %q is no platform, want one such as linux/amd64", name)
		}
		list = append(list, target{system, arch})
	}
	return list, nil
}

// pack makes the archive of a target, and a package where it is Linux.
func (r *release) pack(t target, out string) error {
	bin, err := os.MkdirTemp("", "nexus-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	if err := r.build(t, bin); err != nil {
		return err
	}
	files, err := r.archiveFiles(bin)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("nexus-%s-%s-%s", r.version, t.os, t.arch)
	archive, err := tarball(files, name+"/", r.stamp)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(out, name+".tar.gz"), archive); err != nil || t.os != "linux" {
		return err
	}
	pkg, err := r.debian(t, bin)
	if err != nil {
		return err
	}
	return write(filepath.Join(out, fmt.Sprintf("nexus_%s_%s.deb", r.debianVersion(), t.arch)), pkg)
}

func write(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

// programs are those of a release.
var programs = []string{"mysql_repl", "redis_repl", "repl"}

func (r *release) build(t target, bin string) error {
	ldflags := fmt.Sprintf("-s -w -buildid= -X main.version=%s -X main.commit=%s -X main.date=%s", r.version, r.commit, r.date)
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", bin + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOFLAGS=-mod=readonly")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, errs.String())
	}
	return nil
}
