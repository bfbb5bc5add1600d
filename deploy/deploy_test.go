// Package deploy has no code: its test compares the files here with the programs that they start.
package deploy

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// settings are those of the programs, as -h tells of them.
type settings struct {
	flags, env []string
	path       string // of the program
}

func programs(t *testing.T) map[string]settings {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "../cmd/redis_repl", "../cmd/mysql_repl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := make(map[string]settings)
	line := regexp.MustCompile(`(?m)^  -([A-Za-z-]+)(?: \S+)?(?:  \[([A-Z_]+)\])?`)
	for _, name := range []string{"redis_repl", "mysql_repl"} {
		s := settings{path: filepath.Join(dir, name)}
		help, err := exec.Command(s.path, "-h").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(help), -1) {
			s.flags, s.env = append(s.flags, m[1]), append(s.env, m[2])
		}
		if !slices.Contains(s.flags, "nexus-node-url") || !slices.Contains(s.env, "NEXUS_NODE_URL") {
			t.Fatalf("%s -h is not understood: %q", name, s)
		}
		all[name] = s
	}
	return all
}

// programOf tells whose file it is.
func programOf(path string) string {
	if strings.Contains(path, "mysql") {
		return "mysql_repl"
	}
	return "redis_repl"
}

// Each variable that a manifest sets is a setting of the program, each YAML file can be read, and the probes ask what
// the program answers.
func TestManifests(t *testing.T) {
	known := programs(t)
	variable := regexp.MustCompile(`\bNEXUS_[A-Z_]+`)
	probes := regexp.MustCompile(`path: (/\w+)`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".service") && d.Name() != "Dockerfile" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".yaml") {
			checkYAML(t, path, data)
		}
		if strings.HasPrefix(path, "prometheus") {
			return nil
		}
		for _, name := range variable.FindAllString(string(data), -1) {
			if !slices.Contains(known[programOf(path)].env, name) && name != "NEXUS_CONFIG" {
				t.Errorf("%s: %s has no setting %s", path, programOf(path), name)
			}
		}
		for _, m := range probes.FindAllStringSubmatch(string(data), -1) {
			if m[1] != "/livez" && m[1] != "/readyz" {
				t.Errorf("%s: the probe %s is not answered", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkYAML(t *testing.T, path string, data []byte) {
	t.Helper()
	documents := 0
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; documents++ {
		var doc map[string]any
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		if strings.HasPrefix(path, "kubernetes/") && (doc["kind"] == nil || doc["apiVersion"] == nil || doc["metadata"] == nil) {
			t.Errorf("%s: document %d lacks kind, apiVersion or metadata", path, documents+1)
		}
	}
	if strings.HasPrefix(path, "kubernetes/") && documents < 4 {
		t.Errorf("%s has only %d documents", path, documents)
	}
}

// Both kinds have probes, and a name for each port that something refers to.
func TestKubernetes(t *testing.T) {
	for _, path := range []string{"kubernetes/nexus-redis.yaml", "kubernetes/nexus-mysql.yaml"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, want := range []string{"readinessProbe: {httpGet: {path: /readyz, port: metrics}", "livenessProbe: {httpGet: {path: /livez, port: metrics}", "terminationGracePeriodSeconds", "volumeClaimTemplates"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		for _, m := range regexp.MustCompile(`(?:targetPort|port): ([a-z]+)\b`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(text, "{name: "+m[1]+", containerPort:") {
				t.Errorf("%s: no port of a container is called %s", path, m[1])
			}
		}
	}
}

// The units start programs with flags that there are, and systemd takes them.
func TestUnits(t *testing.T) {
	known := programs(t)
	for _, path := range []string{"systemd/redis_repl@.service", "systemd/mysql_repl@.service"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		program := programOf(path)
		start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(\S+) (.*)$`).FindStringSubmatch(string(data))
		if start == nil || start[1] != program {
			t.Fatalf("%s does not start %s: %q", path, program, start)
		}
		for _, m := range regexp.MustCompile(`(?:^| )-([A-Za-z-]+)`).FindAllStringSubmatch(start[2], -1) {
			if !slices.Contains(known[program].flags, m[1]) && m[1] != "config" {
				t.Errorf("%s: %s has no flag -%s", path, program, m[1])
			}
		}
		verify, err := exec.LookPath("systemd-analyze")
		if err != nil {
			continue
		}
		// The program is where it was built, not where the package puts it.
		unit := filepath.Join(t.TempDir(), strings.Replace(filepath.Base(path), "@", "@test", 1))
		if err := os.WriteFile(unit, bytes.ReplaceAll(data, []byte("/usr/bin/"+program), []byte(known[program].path)), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(verify, "verify", "--man=no", unit).CombinedOutput(); err != nil || bytes.Contains(out, []byte(filepath.Base(unit)+":")) {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// composeFile is what a compose file says, as far as the services need each other.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		Command     []string
		Entrypoint  []string
		DependsOn   []string `yaml:"depends_on"`
		Environment map[string]string
		Ports       []string
		Volumes     []string
	}
	Volumes map[string]any
}

// The services of the compose files find each other, listen where ports are published, and start with flags that there
// are. Containers are not run.
func TestCompose(t *testing.T) {
	for path, program := range map[string]string{"docker-compose.yaml": "redis_repl", "docker-compose.mysql.yaml": "mysql_repl"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file composeFile
		if err := yaml.Unmarshal(data, &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		nodes := 0
		for name, s := range file.Services {
			if s.Image != "" {
				checkServerFlags(t, path, s.Image, s.Command)
				continue
			}
			nodes++
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %s: %v", path, name, err)
			}
			if program == "mysql_repl" && !slices.Equal(s.Entrypoint, []string{"/usr/bin/mysql_repl"}) {
				t.Errorf("%s: %s starts %q", path, name, s.Entrypoint)
			}
			url := s.Environment["NEXUS_NODE_URL"]
			if !slices.Contains(strings.Split(s.Environment["NEXUS_CLUSTER_URL"], ","), url) || !strings.Contains(url, "//"+name+":") {
				t.Errorf("%s: %s has the URL %q in the cluster %q", path, name, url, s.Environment["NEXUS_CLUSTER_URL"])
			}
			for _, other := range s.DependsOn {
				backend := s.Environment["NEXUS_REDIS_HOST"] + s.Environment["NEXUS_MYSQL_CONN_URL"]
				if file.Services[other].Image == "" || !strings.Contains(backend, other) {
					t.Errorf("%s: %s depends on %s, its server is at %q", path, name, other, backend)
				}
			}
			for _, v := range s.Volumes {
				volume, at, _ := strings.Cut(v, ":")
				if _, ok := file.Volumes[volume]; !ok || at != "/var/lib/nexus" {
					t.Errorf("%s: %s has the volume %s", path, name, v)
				}
			}
			for _, port := range s.Ports {
				inside := port[strings.LastIndexByte(port, ':')+1:]
				grpc := map[string]string{"redis_repl": "9121", "mysql_repl": "9131"}[program]
				if inside != s.Environment["NEXUS_PROXY_PORT"] && inside != s.Environment["NEXUS_METRICS_PORT"] && inside != grpc {
					t.Errorf("%s: %s publishes %s, where it does not listen", path, name, port)
				}
			}
		}
		if nodes != 3 {
			t.Errorf("%s has %d nodes", path, nodes)
		}
	}
}

// checkServerFlags asks the server on this machine whether it knows the flags.
func checkServerFlags(t *testing.T, path, image string, args []string) {
	t.Helper()
	if !strings.HasPrefix(image, "mariadb:") {
		return // redis-server takes any parameter as a setting
	}
	server, err := exec.LookPath("mariadbd")
	if err != nil {
		t.Logf("NOT TESTED: the flags of mariadbd in %s: %v", path, err)
		return
	}
	cmd := exec.Command(server, append([]string{"--no-defaults", "--verbose", "--help"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("unknown variable")) || bytes.Contains(out, []byte("unknown option")) {
		t.Errorf("%s: mariadbd %q: %v\n%.500s", path, args, err, out)
	}
}

// The mariadbd of the manifest for Kubernetes is started with flags that there are.
func TestKubernetesServers(t *testing.T) {
	data, err := os.ReadFile("kubernetes/nexus-mysql.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc struct {
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct {
							Image string
							Args  []string
						}
					}
				}
			}
		}
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range doc.Spec.Template.Spec.Containers {
			if len(c.Args) > 0 {
				found++
				checkServerFlags(t, "kubernetes/nexus-mysql.yaml", c.Image, c.Args)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d containers with flags were found", found)
	}
}

// man takes the manual pages without a warning.
func TestManualPages(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skipf("NOT TESTED: manual pages: %v", err)
	}
	for _, name := range []string{"repl.1", "redis_repl.8", "mysql_repl.8"} {
		cmd := exec.Command(groff, "-man", "-Tascii", "-ww", filepath.Join("man", name))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || stderr.Len() > 0 || len(out) < 1000 {
			t.Errorf("%s: %v, %d bytes\n%s", name, err, len(out), stderr.String())
		}
	}
}

// docs/configuration.md names every setting of both programs.
func TestSettingsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range programs(t) {
		for _, flag := range program.flags {
			if !strings.Contains(string(data), "`-"+flag+"`") && flag != "h" {
				t.Errorf("docs/configuration.md lacks -%s of %s", flag, name)
			}
		}
	}
}
