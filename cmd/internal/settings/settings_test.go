package settings

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type fixture struct {
	port    int
	name    string
	secret  string
	fast    bool
	wait    time.Duration
	count   uint64
	list    []string
	level   slog.Level
	choice  string
	checked string
}

func newFixture() (*fixture, *Set) {
	f := &fixture{port: 1, name: "n", wait: time.Second, count: 7, choice: "text"}
	s := New("prog", "prog does things.")
	any := func(text string) error {
		if text == "bad" {
			return errors.New(`"bad" is bad, want good`)
		}
		return nil
	}
	s.Group("One",
		Setting{Name: "grpcPort", Usage: "A port.", Value: Port(&f.port)},
		Setting{Name: "nexus-cluster-name", Usage: "A name.", Value: String(&f.name)},
		Setting{Name: "redisPassword", Usage: "A secret.", Value: String(&f.secret), Secret: true},
		Setting{Name: "nexusLeaseBasedReads", Alias: "nexus-lease-based-reads", Usage: "A switch.", Value: Bool(&f.fast)},
	)
	s.Group("Two",
		Setting{Name: "wait", Usage: "A time.", Value: Duration(&f.wait, time.Millisecond, time.Minute)},
		Setting{Name: "count", Usage: "A count.", Value: Count(&f.count, 1)},
		Setting{Name: "list", Usage: "A list.", Value: List(&f.list, "URLS", any)},
		Setting{Name: "log-level", Usage: "A level.", Value: Level(&f.level)},
		Setting{Name: "format", Usage: "A choice.", Value: Choice(&f.choice, "text", "json")},
		Setting{Name: "checked", Usage: "Checked.", Value: Text(&f.checked, "X", any)},
	)
	return f, s
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func envOf(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestEnvName(t *testing.T) {
	for flag, want := range map[string]string{
		"nexus-cluster-url":    "NEXUS_CLUSTER_URL",
		"redisPort":            "NEXUS_REDIS_PORT",
		"nexusLeaseBasedReads": "NEXUS_LEASE_BASED_READS",
		"log-level":            "NEXUS_LOG_LEVEL",
		"metadataDB":           "NEXUS_METADATA_DB",
		"bind":                 "NEXUS_BIND",
		"nexus-repl-timeout":   "NEXUS_REPL_TIMEOUT",
	} {
		if got := EnvName(flag); got != want {
			t.Errorf("EnvName(%q) = %q, want %q", flag, got, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := writeFile(t, "grpcPort: 10\nnexus-cluster-name: file\ncount: 100\nlist: [a, b]\nlog-level: warn\n")
	env := map[string]string{"NEXUS_CONFIG": file, "NEXUS_GRPC_PORT": "20", "NEXUS_CLUSTER_NAME": "env", "NEXUS_WAIT": ""}
	f, s := newFixture()
	if err := s.Parse([]string{"--grpcPort", "30", "-nexus-lease-based-reads"}, envOf(env)); err != nil {
		t.Fatal(err)
	}
	if f.port != 30 || f.name != "env" || f.count != 100 || f.wait != time.Second || !f.fast {
		t.Errorf("got %+v", f)
	}
	if strings.Join(f.list, "|") != "a|b" || f.level != slog.LevelWarn {
		t.Errorf("got %+v", f)
	}
	// -config wins over NEXUS_CONFIG.
	f, s = newFixture()
	if err := s.Parse([]string{"-config", writeFile(t, "# nothing\n")}, envOf(map[string]string{"NEXUS_CONFIG": file})); err != nil {
		t.Fatal(err)
	}
	if f.port != 1 {
		t.Errorf("port is %d, want the default", f.port)
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		args       []string
		env        map[string]string
		want       string // FILE stands for the path
	}{
		{name: "flag", args: []string{"-grpcPort", "abc"}, want: `prog: flag -grpcPort: "abc" is not a port, want a number from 1 to 65535`},
		{name: "env", env: map[string]string{"NEXUS_GRPC_PORT": "abc"}, want: `prog: flag -grpcPort (from NEXUS_GRPC_PORT): "abc" is not a port, want a number from 1 to 65535`},
		{name: "env that a flag overrides", args: []string{"-grpcPort", "1"}, env: map[string]string{"NEXUS_GRPC_PORT": "abc"}, want: `prog: flag -grpcPort (from NEXUS_GRPC_PORT): "abc" is not a port, want a number from 1 to 65535`},
		{name: "file", file: "\ngrpcPort: abc\n", want: `prog: flag -grpcPort (from FILE line 2): "abc" is not a port, want a number from 1 to 65535`},
		{name: "unknown key", file: "nosuch: 1\n", want: `prog: FILE line 1: unknown key "nosuch"; the keys are the names of the flags, which -h lists`},
		{name: "misspelt key", file: "grpc_port: 1\n", want: `prog: FILE line 1: unknown key "grpc_port", want "grpcPort"`},
		{name: "twice", file: "nexusLeaseBasedReads: true\nnexus-lease-based-reads: false\n", want: `prog: FILE line 2: nexusLeaseBasedReads is already set in line 1`},
		{name: "mapping", file: "grpcPort: {a: 1}\n", want: `prog: FILE line 1: the value of grpcPort is not text, a number, true, false or a list of those`},
		{name: "not a mapping", file: "- a\n", want: `prog: FILE: line 1: want lines such as grpcPort: 9121`},
		{name: "missing file", args: []string{"-config", "/nonexistent/x.yaml"}, want: `prog: flag -config: "/nonexistent/x.yaml" does not exist, want a YAML file whose keys are the names of the flags, or leave -config and NEXUS_CONFIG out`},
		{name: "directory", args: []string{"-config", "/"}, want: `prog: flag -config: "/" is not a configuration file of at most 1048576 bytes`},
		{name: "bool", args: []string{"-nexusLeaseBasedReads=x"}, want: `prog: flag -nexusLeaseBasedReads: "x" is neither true nor false`},
		{name: "bool without =", args: []string{"-nexusLeaseBasedReads", "false"}, want: `prog: unexpected argument "false", want flags only (a switch takes its value with =); -h lists them`},
		{name: "duration", args: []string{"-wait", "2h"}, want: `prog: flag -wait: "2h" is out of range, want 1ms to 1m0s`},
		{name: "count", args: []string{"-count", "-1"}, want: `prog: flag -count: "-1" is not a number of at least 1`},
		{name: "choice", args: []string{"-format", "xml"}, want: `prog: flag -format: "xml" is not one of text, json`},
		{name: "list", args: []string{"-list", "a,bad"}, want: `prog: flag -list: "bad" is bad, want good`},
		{name: "missing value", args: []string{"-grpcPort"}, want: `prog: flag needs an argument: -grpcPort; -h lists the flags`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, s := newFixture()
			args := tc.args
			if tc.file != "" {
				path := writeFile(t, tc.file)
				args = append(args, "-config", path)
				tc.want = strings.ReplaceAll(tc.want, "FILE", path)
			}
			err := s.Parse(args, envOf(tc.env))
			if err == nil || err.Error() != tc.want {
				t.Errorf("\n got %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestBrokenYAMLIsOneLine(t *testing.T) {
	_, s := newFixture()
	err := s.Parse([]string{"-config", writeFile(t, "a: [\nb: }")}, envOf(nil))
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestHelp(t *testing.T) {
	_, s := newFixture()
	for _, arg := range []string{"-h", "--help", "-help"} {
		if err := s.Parse([]string{arg}, envOf(nil)); !errors.Is(err, ErrHelp) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	var b bytes.Buffer
	if err := s.WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nTwo\n", "-grpcPort PORT  [NEXUS_GRPC_PORT]\n      A port. Default: 1.\n",
		"-nexusLeaseBasedReads  [NEXUS_LEASE_BASED_READS]\n      A switch. Default: false. Also -nexus-lease-based-reads.\n",
		"Better in the environment", "-format text|json",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, b.String())
		}
	}
}
