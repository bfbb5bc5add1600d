package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func testRelease(t *testing.T) release {
	t.Helper()
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return releaseOf(source)
}

func releaseOf(source string) release {
	return release{version: "v1.2.3", commit: "0123abc", date: "2026-01-02T03:04:05+01:00", source: source}
}

// packOnce packs for all tests that do not need it twice.
var packOnce = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "nexus-pack-test-"); err != nil {
		return "", err
	}
	source, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	return dir, run(releaseOf(source), "linux/"+runtime.GOARCH, dir)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := packOnce(); dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			panic(err)
		}
	}
	os.Exit(code)
}

// packed is what was made for Linux on this machine's processor.
func packed(t *testing.T) (archive, pkg string) {
	t.Helper()
	dir, err := packOnce()
	if err != nil {
		t.Fatal(err)
	}
	return names(dir)
}

func packedAgain(t *testing.T) (archive, pkg string) {
	t.Helper()
	dir := t.TempDir()
	if err := run(testRelease(t), "linux/"+runtime.GOARCH, dir); err != nil {
		t.Fatal(err)
	}
	return names(dir)
}

func names(dir string) (archive, pkg string) {
	return filepath.Join(dir, "nexus-v1.2.3-linux-"+runtime.GOARCH+".tar.gz"), filepath.Join(dir, "nexus_1.2.3_"+runtime.GOARCH+".deb")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Two builds are the same byte for byte; the version, commit and date are inside.
func TestPackRepeats(t *testing.T) {
	archive, pkg := packed(t)
	again, pkgAgain := packedAgain(t)
	if !bytes.Equal(read(t, archive), read(t, again)) {
		t.Error("two archives of one commit differ")
	}
	if !bytes.Equal(read(t, pkg), read(t, pkgAgain)) {
		t.Error("two packages of one commit differ")
	}

	files := unpack(t, read(t, archive))
	prefix := "nexus-v1.2.3-linux-" + runtime.GOARCH + "/"
	for _, name := range []string{
		"bin/redis_repl", "bin/mysql_repl", "bin/repl", "LICENSE", "README.md", "CHANGELOG.md", "docs/operations.md", "docs/design/0001-position-marker.md",
		"deploy/systemd/redis_repl@.service", "deploy/kubernetes/nexus-redis.yaml", "deploy/redis_repl.sample.yaml", "deploy/man/repl.1", "deploy/man/redis_repl.8", "deploy/man/mysql_repl.8", "deploy/docker-compose.mysql.yaml", "deploy/grafana/nexus.json",
		"completion/repl.bash", "completion/_repl",
	} {
		if len(files[prefix+name]) == 0 {
			t.Errorf("the archive lacks %s", name)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	for _, program := range programs {
		path := filepath.Join(t.TempDir(), program)
		if err := os.WriteFile(path, files[prefix+"bin/"+program], 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(path, "-version").CombinedOutput()
		if want := program + " v1.2.3 (commit 0123abc, 2026-01-02T03:04:05+01:00)\n"; err != nil || string(out) != want {
			t.Errorf("%s -version prints %q, %v, want %q", program, out, err, want)
		}
	}
}

// unpack returns the files of an archive by name, and checks that nothing of this machine is in the headers.
func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	r := tar.NewReader(zip)
	last := ""
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)) || h.Uid != 0 || h.Gid != 0 || h.Name <= last {
			t.Errorf("%s behind %s: of %v, user %d, group %d", h.Name, last, h.ModTime, h.Uid, h.Gid)
		}
		last = h.Name
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDebianPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	_, pkg := packed(t)
	contents := output(t, "dpkg-deb", "--contents", pkg)
	for _, name := range []string{
		"./usr/bin/redis_repl\n", "./usr/bin/mysql_repl\n", "./usr/bin/repl\n", "./etc/nexus/redis.yaml\n", "./etc/nexus/mysql.yaml\n",
		"./usr/lib/systemd/system/redis_repl@.service\n", "./usr/lib/systemd/system/mysql_repl@.service\n", "./usr/share/man/man1/repl.1.gz\n",
		"./usr/share/bash-completion/completions/repl\n", "./usr/share/zsh/vendor-completions/_repl\n", "./usr/share/doc/nexus/operations.md\n",
		"./usr/share/doc/nexus/grafana/nexus.json\n", "./usr/share/doc/nexus/prometheus/nexus.rules.yaml\n",
	} {
		if !strings.Contains(contents, name) {
			t.Errorf("the package lacks %q", name)
		}
	}
	info := output(t, "dpkg-deb", "--field", pkg)
	for _, line := range []string{"Package: nexus\n", "Version: 1.2.3\n", "Architecture: " + runtime.GOARCH + "\n"} {
		if !strings.Contains(info, line) {
			t.Errorf("%q is not in\n%s", line, info)
		}
	}
	if conffiles := output(t, "dpkg-deb", "--info", pkg, "conffiles"); conffiles != "/etc/nexus/redis.yaml\n/etc/nexus/mysql.yaml\n" {
		t.Errorf("conffiles are %q", conffiles)
	}
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", pkg, dir)
	output(t, "dpkg-deb", "--control", pkg, filepath.Join(dir, "DEBIAN"))
	sums := exec.Command("md5sum", "--check", "--quiet", "DEBIAN/md5sums")
	sums.Dir = dir
	if out, err := sums.CombinedOutput(); err != nil {
		t.Errorf("checksums: %v\n%s", err, out)
	}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		output(t, "sh", "-n", filepath.Join(dir, "DEBIAN", script))
	}
	output(t, "gzip", "--test", filepath.Join(dir, "usr/share/man/man1/repl.1.gz"))
}

// The package is installed, used, changed and purged on a copy of this machine that nothing is written through to.
func TestDebianInstall(t *testing.T) {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root of a Debian can install")
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not installed")
	}
	_, pkg := packed(t)
	dir := t.TempDir()
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount := "mount -t overlay overlay -o lowerdir=/,upperdir=" + dir + "/upper,workdir=" + dir + "/work " + dir + "/root"
	if out, err := exec.Command("unshare", "--mount", "sh", "-c", mount).CombinedOutput(); err != nil {
		t.Skipf("no copy of this machine can be had: %s", out)
	}
	script := `set -e
` + mount + `
cp ` + pkg + ` ` + dir + `/root/nexus.deb
chroot ` + dir + `/root sh -e -c '
export DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/sbin
dpkg --no-triggers --install /nexus.deb
id nexus
stat -c "%U:%G %a %n" /var/lib/nexus /etc/nexus /etc/nexus/redis.yaml
redis_repl -version
echo "# a change of the operator" >> /etc/nexus/redis.yaml
dpkg --no-triggers --install /nexus.deb
tail -n 1 /etc/nexus/redis.yaml
touch /var/lib/nexus/data
dpkg --no-triggers --remove nexus
test ! -e /usr/bin/redis_repl && test -e /etc/nexus/redis.yaml && echo "removed, the settings stay"
dpkg --no-triggers --purge nexus
test ! -e /etc/nexus/redis.yaml && test -e /var/lib/nexus/data && echo "purged, the data stays"
'`
	out, err := exec.Command("unshare", "--mount", "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"(nexus)", "nexus:nexus 750 /var/lib/nexus", "root:nexus 750 /etc/nexus", "root:nexus 640 /etc/nexus/redis.yaml", "redis_repl v1.2.3",
		"# a change of the operator", "removed, the settings stay", "holds data of nodes and stays", "purged, the data stays",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestDebianVersion(t *testing.T) {
	for version, want := range map[string]string{"v1.2.3": "1.2.3", "v1.2.3-4-gabc": "1.2.3+4+gabc", "28cb7be": "28cb7be", "abc": "0~abc", "": "0~"} {
		r := release{version: version}
		if got := r.debianVersion(); got != want {
			t.Errorf("%q: got %q, want %q", version, got, want)
		}
	}
}

func TestWrongFlags(t *testing.T) {
	r := testRelease(t)
	if err := run(r, "linux", t.TempDir()); err == nil || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("got %v", err)
	}
	r.date = "yesterday"
	if err := run(r, "linux/amd64", t.TempDir()); err == nil || !strings.Contains(err.Error(), "-date") {
		t.Errorf("got %v", err)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
