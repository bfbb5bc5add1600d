package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzFile is what somebody could give for a configuration file. Secrets in it are not repeated.
func FuzzFile(f *testing.F) {
	f.Add("port: 6379\nlist: [a, b]\n")
	f.Add("&a port: *a\n")
	f.Add("secret: {a: b}\nswitch: maybe")
	f.Fuzz(func(t *testing.T, text string) {
		var port int
		var list []string
		var on bool
		var span time.Duration
		var token string
		s := New("prog", "")
		s.Group("all",
			Setting{Name: "port", Value: Port(&port)}, Setting{Name: "list", Value: List(&list, "LIST", func(string) error { return nil })},
			Setting{Name: "switch", Value: Bool(&on)}, Setting{Name: "span", Value: Duration(&span, 0, time.Hour)},
			Setting{Name: "token", Value: String(&token), Secret: true})
		path := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := s.Parse([]string{"-config", path}, func(string) string { return "" })
		if err != nil && !strings.HasPrefix(err.Error(), "prog: ") {
			t.Errorf("error %q does not name the program", err)
		}
		if err == nil && port < 0 || port > 65535 {
			t.Errorf("port %d was taken", port)
		}
	})
}
