package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The manifests have no field that Kubernetes does not know, and no value of another type. Its types are in a module of
// their own, so that nobody who builds Nexus needs them.
func TestKubernetesFields(t *testing.T) {
	const module = "../integration/kubernetes"
	download := exec.Command("go", "mod", "download")
	download.Dir = module
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("the types of Kubernetes cannot be had: %s", out)
	}
	program := filepath.Join(t.TempDir(), "check")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{"kubernetes/nexus-redis.yaml", "kubernetes/nexus-mysql.yaml"} {
		out, err := exec.Command(program, path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "apps/v1, Kind=StatefulSet") {
			t.Errorf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for right, wrong := range map[string]string{"readinessProbe": "readynessProbe", "replicas: 3": "replicas: three", "kind: StatefulSet": "kind: StatefullSet"} {
			broken := filepath.Join(t.TempDir(), "broken.yaml")
			if err := os.WriteFile(broken, []byte(strings.Replace(string(data), right, wrong, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(program, broken).CombinedOutput(); err == nil {
				t.Errorf("%s with %q is taken:\n%s", path, wrong, out)
			}
		}
	}
}
