package main

import (
	"bytes"
	"compress/gzip"
	"crypto/md5" //nolint:gosec // what the format of the package asks for; it protects nothing
	"embed"
	"fmt"
	"strings"
	"time"
)

// The scripts that dpkg runs, and what it must not overwrite.
//
//go:embed deb
var scripts embed.FS

// debianVersion begins with a digit, as versions must.
func (r *release) debianVersion() string {
	v := strings.TrimPrefix(r.version, "v")
	v = strings.ReplaceAll(v, "-", "+") // what follows a "-" would be the revision of Debian
	if v == "" || v[0] < '0' || v[0] > '9' {
		v = "0~" + v
	}
	return v
}

// debian makes a package of the programs, units, settings and documents.
func (r *release) debian(t target, bin string) ([]byte, error) {
	files, err := r.packageFiles(bin)
	if err != nil {
		return nil, err
	}
	data, err := tarball(files, "./", r.stamp)
	if err != nil {
		return nil, err
	}
	control, err := r.controlFiles(t, files)
	if err != nil {
		return nil, err
	}
	meta, err := tarball(control, "./", r.stamp)
	if err != nil {
		return nil, err
	}
	return ar([]file{{"debian-binary", []byte("2.0\n"), 0o644}, {"control.tar.gz", meta, 0o644}, {"data.tar.gz", data, 0o644}}, r.stamp), nil
}

func (r *release) packageFiles(bin string) ([]file, error) {
	files, err := programFiles(bin, "usr/bin/")
	if err != nil {
		return nil, err
	}
	for _, f := range [][2]string{
		{"deploy/systemd/redis_repl@.service", "usr/lib/systemd/system/redis_repl@.service"},
		{"deploy/systemd/mysql_repl@.service", "usr/lib/systemd/system/mysql_repl@.service"},
		{"deploy/redis_repl.sample.yaml", "etc/nexus/redis.yaml"},
		{"deploy/mysql_repl.sample.yaml", "etc/nexus/mysql.yaml"},
		{"README.md", "usr/share/doc/nexus/README.md"},
		{"LICENSE", "usr/share/doc/nexus/copyright"},
	} {
		if files, err = r.add(files, f[0], f[1]); err != nil {
			return nil, err
		}
	}
	if files, err = r.addTree(files, "docs", "usr/share/doc/nexus"); err != nil {
		return nil, err
	}
	for _, dir := range []string{"prometheus", "grafana"} {
		if files, err = r.addTree(files, "deploy/"+dir, "usr/share/doc/nexus/"+dir); err != nil {
			return nil, err
		}
	}
	completions, err := r.completions()
	if err != nil {
		return nil, err
	}
	files = append(files,
		file{"usr/share/bash-completion/completions/repl", completions["bash"], 0o644},
		file{"usr/share/zsh/vendor-completions/_repl", completions["zsh"], 0o644},
	)
	for _, f := range [][2]string{
		{"deploy/man/repl.1", "usr/share/man/man1/repl.1.gz"},
		{"deploy/man/redis_repl.8", "usr/share/man/man8/redis_repl.8.gz"},
		{"deploy/man/mysql_repl.8", "usr/share/man/man8/mysql_repl.8.gz"},
		{"CHANGELOG.md", "usr/share/doc/nexus/changelog.gz"},
	} {
		name := f[1]
		plain, err := r.add(nil, f[0], name)
		if err != nil {
			return nil, err
		}
		packed, err := zipped(plain[0].data)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, packed, 0o644})
	}
	// The settings are also there for looking, where nobody changes them. README.md of docs/ gives way to the one above.
	return withoutDoubles(files), nil
}

// withoutDoubles keeps the first file of each name.
func withoutDoubles(files []file) []file {
	seen := make(map[string]bool)
	kept := files[:0]
	for _, f := range files {
		if !seen[f.name] {
			seen[f.name] = true
			kept = append(kept, f)
		}
	}
	return kept
}

func zipped(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

func (r *release) controlFiles(t target, files []file) ([]file, error) {
	size := 0
	var sums, conffiles strings.Builder
	for _, f := range files {
		size += (len(f.data) + 1023) / 1024
		if name, ok := strings.CutPrefix(f.name, "etc/"); ok {
			fmt.Fprintf(&conffiles, "/etc/%s\n", name)
		}
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.name) //nolint:gosec // see the import
	}
	control := fmt.Sprintf(`Package: nexus
Version: %s
Architecture: %s
Maintainer: The Nexus authors <nexus@invalid>
Section: database
Priority: optional
Installed-Size: %d
Depends: passwd
Suggests: redis-server (>= 5:7.0) | valkey-server, mariadb-server (>= 1:10.6)
Homepage: https://github.com/nexus-replication/nexus
Description: Redis and MariaDB servers as one fault-tolerant database
 A node of Nexus stands in front of each redis-server or mariadbd and speaks
 its protocol. Three or five nodes replicate what clients write with Raft: a
 write that was answered survives, and a read is never stale.
`, r.debianVersion(), t.arch, size)
	list := []file{
		{"control", []byte(control), 0o644}, {"conffiles", []byte(conffiles.String()), 0o644}, {"md5sums", []byte(sums.String()), 0o644},
	}
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		data, err := scripts.ReadFile("deb/" + name)
		if err != nil {
			return nil, err
		}
		list = append(list, file{name, data, 0o755})
	}
	return list, nil
}

// ar is the format of the package itself: a line of text before each part, which begins at an even place.
func ar(files []file, stamp time.Time) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, f := range files {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", f.name, stamp.Unix(), 0, 0, 0o100000|f.mode, len(f.data))
		b.Write(f.data)
		if len(f.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}
