package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is a part of an archive.
type file struct {
	name string
	data []byte
	mode int64
}

// archiveFiles are the programs and everything that an operator wants beside them.
func (r *release) archiveFiles(bin string) ([]file, error) {
	files, err := programFiles(bin, "bin/")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		if files, err = r.add(files, name, name); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{"docs", "deploy/man", "deploy/systemd", "deploy/kubernetes", "deploy/prometheus", "deploy/grafana"} {
		if files, err = r.addTree(files, dir, dir); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"redis_repl.sample.yaml", "mysql_repl.sample.yaml", "docker-compose.yaml", "docker-compose.mysql.yaml"} {
		if files, err = r.add(files, "deploy/"+name, "deploy/"+name); err != nil {
			return nil, err
		}
	}
	completions, err := r.completions()
	if err != nil {
		return nil, err
	}
	return append(files, file{"completion/repl.bash", completions["bash"], 0o644}, file{"completion/_repl", completions["zsh"], 0o644}), nil
}

func programFiles(bin, dir string) ([]file, error) {
	var files []file
	for _, p := range programs {
		data, err := os.ReadFile(filepath.Join(bin, p))
		if err != nil {
			return nil, err
		}
		files = append(files, file{dir + p, data, 0o755})
	}
	return files, nil
}

// add adds a file of the checkout under a name.
func (r *release) add(files []file, from, name string) ([]file, error) {
	data, err := os.ReadFile(filepath.Join(r.source, filepath.FromSlash(from)))
	if err != nil {
		return nil, err
	}
	return append(files, file{name, data, 0o644}), nil
}

// addTree adds all files below a directory of the checkout.
func (r *release) addTree(files []file, from, name string) ([]file, error) {
	top := filepath.Join(r.source, filepath.FromSlash(from))
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		files, err = r.add(files, from+"/"+rel, path.Join(name, rel))
		return err
	})
	return files, err
}

// completions asks the program of this machine, since the one that is packed may be of another. They are made once.
func (r *release) completions() (map[string][]byte, error) {
	if r.scripts != nil {
		return r.scripts, nil
	}
	scripts := make(map[string][]byte)
	for _, shell := range []string{"bash", "zsh"} {
		cmd := exec.Command("go", "run", "./cmd/repl", "completion", shell)
		cmd.Dir = r.source
		script, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("repl completion %s: %w", shell, err)
		}
		scripts[shell] = script
	}
	r.scripts = scripts
	return scripts, nil
}

// tarball packs files and the directories above them, in the order of their names, below prefix.
func tarball(files []file, prefix string, stamp time.Time) ([]byte, error) {
	files = slices.Clone(files)
	seen := make(map[string]bool)
	for _, f := range slices.Clone(files) {
		for dir := path.Dir(f.name); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if !seen[dir] && !strings.HasSuffix(f.name, "/") {
				seen[dir] = true
				files = append(files, file{name: dir + "/", mode: 0o755})
			}
		}
	}
	files = append(files, file{name: "", mode: 0o755})
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.DefaultCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zip)
	for _, f := range files {
		h := &tar.Header{Name: prefix + f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: stamp, Format: tar.FormatGNU, Typeflag: tar.TypeReg, Uname: "root", Gname: "root"}
		if strings.HasSuffix(h.Name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := archive.Write(f.data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
