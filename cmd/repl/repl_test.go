package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

var update = flag.Bool("update", false, "write the golden files, and the manual page")

// golden compares got with a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is another than what is printed now (-update writes it):\n%s", path, got)
	}
}

// What scripts read must not change by accident; the first five are those of the predecessor, to the letter.
func TestOutput(t *testing.T) {
	for name, args := range map[string][]string{
		"save":             {"redis", "save", "db.index=2", "return 1"},
		"load":             {"redis", "load", "return 1"},
		"mysql-save":       {"mysql", "save", "db=nexus", "select 1"},
		"mysql-load":       {"mysql", "load", "select 1"},
		"listNodes":        {"listNodes"},
		"removeNode":       {"removeNode", "http://127.0.0.1:9023"},
		"transferLeader":   {"transferLeader"},
		"snapshot":         {"snapshot"},
		"repair":           {"repair"},
		"verify":           {"verify"},
		"status":           {"status"},
		"save-json":        {"-json", "redis", "save", "return 1"},
		"listNodes-json":   {"listNodes", "-json"},
		"status-json":      {"status", "--json"},
		"snapshot-json":    {"snapshot", "-json"},
		"repair-json":      {"repair", "-json"},
		"verify-json":      {"verify", "-json"},
		"removeNode-force": {"removeNode", "-force", "http://127.0.0.1:9023", "-json"},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := startFake(t)
			code, stdout, stderr := run(t, append([]string{addr}, args...)...)
			if want := "verify"; (code != exitOK) != strings.HasPrefix(name, want) {
				t.Errorf("exit status %d: %s", code, stderr)
			}
			if strings.HasSuffix(name, "json") && !json.Valid([]byte(stdout)) {
				t.Error("that is no JSON")
			}
			golden(t, filepath.Join("testdata", name+".golden"), stdout)
		})
	}
}

// Nodes that could not be compared are no nodes that differ.
func TestJudge(t *testing.T) {
	equal, away := verified{Keys: 12}, verified{Problem: "no answer"}
	odd := verified{Keys: 13, Differences: []difference{{Part: "db0", Keys: 2}}}
	if err := judge([]verified{equal, equal, away}); !errors.Is(err, errLeftOut) {
		t.Error(err)
	}
	if err := judge([]verified{equal, odd, away}); !errors.Is(err, errDiffer) {
		t.Error(err)
	}
}

func TestStatusOfEarlierVersion(t *testing.T) {
	f, addr := startFake(t)
	f.old = true
	code, stdout, stderr := run(t, addr, "status")
	if code != exitOK || !strings.Contains(stdout, "http://127.0.0.1:9021") || !strings.Contains(stdout, "not asked") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

var clockOfDay = regexp.MustCompile(`\d\d:\d\d:\d\d`)

func TestWatchInAPipe(t *testing.T) {
	_, addr := startFake(t)
	code, stdout, stderr := run(t, addr, "watch", "-interval", "100ms", "-count", "2")
	if code != exitOK || stderr != "" || strings.Contains(stdout, "\x1b") {
		t.Errorf("%d, %q", code, stderr)
	}
	golden(t, "testdata/watch.golden", clockOfDay.ReplaceAllString(stdout, "TIME"))
}

// The counters of the fake grow with each look; how fast is up to the clock.
func TestTop(t *testing.T) {
	_, addr := startFake(t)
	code, stdout, stderr := run(t, addr, "top", "-interval", "100ms", "-count", "2", "-json")
	if code != exitOK {
		t.Fatal(stderr)
	}
	dec := json.NewDecoder(strings.NewReader(stdout))
	for range 2 {
		var got struct {
			Nodes []topRow
		}
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		lead := got.Nodes[0]
		if len(got.Nodes) != 3 || lead.Reads <= 0 || lead.Writes <= 0 || lead.Clients != 7 || latency(lead.ReadLatency) != "1.00" || latency(lead.WriteLatency) != "2.00" {
			t.Errorf("got %+v", got.Nodes)
		}
		if ratio := lead.Reads / lead.Writes; ratio < 9.99 || ratio > 10.01 {
			t.Errorf("reads and writes are as %f", ratio)
		}
		if got.Nodes[1].ReadLatency != nil || got.Nodes[2].Role != "unreachable" {
			t.Errorf("got %+v", got.Nodes)
		}
	}
	code, stdout, _ = run(t, addr, "top", "-interval", "100ms", "-count", "1")
	for _, want := range []string{"reads/s", "writes/s", "NODE URL", "http://127.0.0.1:9021", "1.00", "2.00", "unreachable", "█"} {
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}

func TestWatchAtNobody(t *testing.T) {
	f, addr := startFake(t)
	f.fail = nodeError(codes.Unauthenticated, "this node asks for a token")
	if code, _, stderr := run(t, addr, "watch"); code != exitFailure || !strings.Contains(stderr, "asks for a token") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestAddNodeTellsHowFar(t *testing.T) {
	for _, verb := range []string{"addNode", "replaceNode"} {
		_, addr := startFake(t)
		var both bytes.Buffer // as in a pipe of both
		if code := realMain(t.Context(), []string{addr, verb, "http://127.0.0.1:9024"}, &both, &both); code != exitOK {
			t.Fatal(both.String())
		}
		progress, result, found := strings.Cut(both.String(), "Current cluster members:\n")
		if !strings.Contains(progress, "http://127.0.0.1:9024 is a learner and is sent a snapshot: 25 % of 12.0 MB.") {
			t.Errorf("%s: got %q", verb, progress)
		}
		if !found || !strings.Contains(progress, "http://127.0.0.1:9024 is a learner and holds the log up to 10 of 5012.") {
			t.Errorf("%s: got %q", verb, both.String())
		}
		if strings.Contains(result, "learner and") {
			t.Errorf("%s: progress is told behind the result: %q", verb, result)
		}
	}
}

// A follower does not know how far others are. Its leader does.
func TestAddNodeAskedOfAFollower(t *testing.T) {
	f, addr := startFake(t)
	f.follower = true
	var both bytes.Buffer
	if code := realMain(t.Context(), []string{addr, "addNode", "http://127.0.0.1:9024"}, &both, &both); code != exitOK {
		t.Fatal(both.String())
	}
	if !strings.Contains(both.String(), "is sent a snapshot: 50 % of 10.0 MB.") {
		t.Errorf("got %q", both.String())
	}
}

// A node that dies on its way is told of, once it has not answered for a while, and no more when it answers again.
func TestAddNodeTellsOfSilence(t *testing.T) {
	f, addr := startFake(t)
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &session{client: nexuspb.NewNexusClient(conn)}
	j := join{url: "http://127.0.0.1:9024"}
	f.joined, f.silent = 1, true
	if step := s.joining(t.Context(), &j); strings.Contains(step.text, "does not answer") || j.silent.IsZero() {
		t.Errorf("%q, silent since %v", step.text, j.silent)
	}
	j.silent = time.Date(2020, 1, 1, 12, 34, 56, 0, time.Local)
	want := "http://127.0.0.1:9024 is a learner and does not answer since 12:34:56: connection refused. It is waited for."
	if step := s.joining(t.Context(), &j); step.text != want || step.of != 0 {
		t.Errorf("%+v", step)
	}
	f.silent = false
	if step := s.joining(t.Context(), &j); strings.Contains(step.text, "does not answer") || !j.silent.IsZero() {
		t.Errorf("%q, silent since %v", step.text, j.silent)
	}
}

// What is at the URL of a replacement is the member that it replaces, until that is removed.
func TestReplaceNodeWaitsForTheNewOne(t *testing.T) {
	_, addr := startFake(t)
	const lost = "http://127.0.0.1:9022"
	var both bytes.Buffer
	if code := realMain(t.Context(), []string{addr, "replaceNode", lost}, &both, &both); code != exitOK {
		t.Fatal(both.String())
	}
	if text := both.String(); strings.Contains(text, lost+" votes.") || !strings.Contains(text, "Waiting for the new node at "+lost+" to answer") {
		t.Errorf("got %q", text)
	}
	if text := both.String(); !strings.Contains(text, lost+" votes, but does not serve yet: backend of this node: connection refused.") {
		t.Errorf("got %q", text)
	}
}

func TestErrors(t *testing.T) {
	f, addr := startFake(t)
	f.fail = nodeError(codes.Unknown, "outcome unknown: no answer within 5s")
	if code, _, stderr := run(t, addr, "removeNode", "http://127.0.0.1:9022"); code != exitFailure || stderr != "repl: outcome unknown: no answer within 5s\n" {
		t.Errorf("%d %q", code, stderr)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "the address of a node is missing"},
		{[]string{"nowhere", "status"}, `"nowhere" is not the address of a node`},
		{[]string{"127.0.0.1:nosuch", "status"}, `"127.0.0.1:nosuch" is not the address of a node`},
		{[]string{"127.0.0.1:99999", "status"}, `"127.0.0.1:99999" is not the address of a node`},
		{[]string{"127.0.0.1:0", "status"}, `"127.0.0.1:0" is not the address of a node`},
		{[]string{addr}, "the verb is missing"},
		{[]string{addr, "redis"}, `"redis" wants save or load behind it`},
		{[]string{addr, "drop"}, `"drop" is not a verb; `},
		{[]string{addr, "addnode"}, `"addnode" is not a verb, addNode is`},
		{[]string{addr, "list"}, `"list" is not a verb, listNodes is`},
		{[]string{addr, "stauts"}, `"stauts" is not a verb, status is`},
		{[]string{addr, "status", "x"}, `"x" is too much`},
		{[]string{addr, "addNode"}, "an argument is missing"},
		{[]string{addr, "addNode", "x"}, `"x" is not a node URL`},
		{[]string{addr, "addNode", "127.0.0.1:9021"}, `"127.0.0.1:9021" is not a node URL, want http://host:port`},
		{[]string{addr, "redis", "save", "x", "return 1"}, `"x" is not of the form ARG=VALUE`},
		{[]string{addr, "status", "-timeout", "0"}, "flag -timeout"},
		{[]string{addr, "watch", "-interval", "1ms"}, "flag -interval"},
		{[]string{addr, "watch", "-count", "-1"}, "flag -count"},
		{[]string{addr, "status", "-nosuch"}, "-nosuch"},
		{[]string{"completion", "fish"}, `"fish" is neither bash nor zsh`},
		{[]string{"completion"}, "want bash or zsh"},
		{[]string{addr, "transferLeader", "x"}, `"x" is neither a node URL nor an id`},
	} {
		code, _, stderr := run(t, test.args...)
		if code != exitUsage || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: %d %q, want %q", test.args, code, stderr, test.want)
		}
	}
}

// With -json errors are JSON too, of the command line itself as well.
func TestErrorsAsJSON(t *testing.T) {
	f, addr := startFake(t)
	f.fail = nodeError(codes.Unknown, "outcome unknown: no answer within 5s")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{addr, "removeNode", "http://127.0.0.1:9022", "-json"}, exitFailure, `{"error":"outcome unknown: no answer within 5s","outcomeUnknown":true,"exitStatus":1}`},
		{[]string{"--json", addr}, exitUsage, `"outcomeUnknown":false,"exitStatus":2}`},
		{[]string{addr, "status", "-nosuch", "-json"}, exitUsage, `"exitStatus":2}`},
	} {
		code, stdout, stderr := run(t, tc.args...)
		if code != tc.code || stdout != "" || !json.Valid([]byte(stderr)) || !strings.HasSuffix(stderr, tc.want+"\n") {
			t.Errorf("%q: exit status %d, %q, %s", tc.args, code, stdout, stderr)
		}
	}
}

// What a change tells while it goes on is not for who reads JSON.
func TestNoProgressWithJSON(t *testing.T) {
	f, addr := startFake(t)
	f.quick = true
	if code, stdout, stderr := run(t, addr, "-json", "addNode", "http://127.0.0.1:9024"); code != exitOK || !json.Valid([]byte(stdout)) || stderr != "" {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

// Who runs out of time, or breaks a change off, is told so, and what is known of the change.
func TestBrokenOff(t *testing.T) {
	for _, tc := range []struct {
		code codes.Code
		want string
	}{
		{codes.DeadlineExceeded, "outcome unknown: no answer from the node in time, see -timeout"},
		{codes.Canceled, "outcome unknown: it was broken off here"},
		{codes.Unavailable, "outcome unknown: no answer from the node: x"},
	} {
		if got := describe(status.Error(tc.code, "x"), true); got.Error() != tc.want {
			t.Errorf("%v: %q, want %q", tc.code, got, tc.want)
		}
		if got := describe(status.Error(tc.code, "x"), false); "outcome unknown: "+got.Error() != tc.want {
			t.Errorf("%v: %q, want %q", tc.code, got, tc.want)
		}
	}
}

// What is given for access is looked at before anything is asked.
func TestAccessThatCannotBe(t *testing.T) {
	_, addr := startFake(t)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("some text\nin lines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ flag, file, want string }{
		{"-tls-ca", text, text + " holds no certificate of an authority"},
		{"-tls-ca", text + "x", "read the certificate of the authority: open " + text + "x"},
		{"-tls-cert", text, "flag -tls-cert and -tls-key go together"},
		{"-token-file", text, "flag -token-file: " + text + " holds something else than one token"},
		{"-token-file", text + "x", "flag -token-file: open " + text + "x"},
	} {
		if code, _, stderr := run(t, addr, "status", tc.flag, tc.file); code != exitFailure || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s %s: %d %q", tc.flag, tc.file, code, stderr)
		}
	}
}

// A port without TLS is named as such to who comes with it.
func TestStatusWithTLSInVain(t *testing.T) {
	_, addr := startFake(t)
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, addr, "status", "-tls-ca", ca); code != exitFailure || !strings.Contains(stderr, addr+" speaks no TLS: leave out -tls-ca") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestNobodyListens(t *testing.T) {
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := cluster.Address(port)
	if code, _, stderr := run(t, addr, "status"); code != exitFailure || !strings.Contains(stderr, "no node answers at "+addr+", nothing was done") {
		t.Errorf("%d %q", code, stderr)
	}
}

// Whoever takes another port of a node is told which one it is.
// A port with TLS says nothing to who comes without; it is told by a greeting.
func TestStatusWithoutTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	raw := tls.NewListener(ln, s.TLS)
	t.Cleanup(func() { raw.Close() })
	go func() {
		for {
			conn, err := raw.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}()
		}
	}()
	addr := raw.Addr().String()
	code, _, stderr := run(t, addr, "status")
	if code != exitFailure || !strings.Contains(stderr, addr+" is a port that wants TLS, see -tls-ca: ") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestWrongPort(t *testing.T) {
	talk := func(greeting, answer string) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, _ = io.WriteString(conn, greeting)
					if _, err := conn.Read(make([]byte, 1024)); err == nil {
						_, _ = io.WriteString(conn, answer)
					}
				}()
			}
		}()
		return ln.Addr().String()
	}
	web := func(path string) string {
		mux := http.NewServeMux()
		mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) {})
		s := httptest.NewServer(mux)
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	for _, test := range []struct{ addr, want string }{
		{talk("", "-ERR Protocol error\r\n"), "a port for Redis clients"},
		{talk("\x4a\x00\x00\x00\x0a5.5.5-10.11", ""), "a port for MySQL clients"},
		{web("/livez"), "the port for metrics (-metricsPort)"},
		{web("/nexus/v1/identity"), "a port for HTTP"},
	} {
		for _, verb := range [][]string{{"status"}, {"redis", "save", "return 1"}} {
			code, _, stderr := run(t, append([]string{test.addr, "-timeout", "10s"}, verb...)...)
			if code != exitFailure || !strings.Contains(stderr, test.want) || !strings.Contains(stderr, "-grpcPort") || strings.Contains(stderr, "desc =") {
				t.Errorf("%q %v: %d %q", test.want, verb, code, stderr)
			}
		}
	}
}

func TestBackupToABadPath(t *testing.T) {
	_, addr := startFake(t)
	path := filepath.Join(t.TempDir(), "nosuch", "nexus.backup")
	code, _, stderr := run(t, addr, "backup", path)
	if want := "repl: write the backup to " + path + ": no such file or directory\n"; code != exitFailure || stderr != want {
		t.Errorf("%d %q, want %q", code, stderr, want)
	}
}

// wholeBackup is one as a node sends it.
func wholeBackup() [][]byte {
	header := []byte(`{"clusterName":"test","cluster":18446744073709551615,"node":193,"index":7,"size":3}`)
	file := binary.BigEndian.AppendUint32([]byte("nexusbk1"), uint32(len(header)))
	file = append(append(file, header...), "abc"...)
	sum := sha256.Sum256(file)
	return [][]byte{file, sum[:]}
}

// A backup that is there may be the only one: only -force replaces it, and only by a whole one.
func TestBackupKeepsWhatIsThere(t *testing.T) {
	whole := wholeBackup()
	broken := [][]byte{[]byte("not a"), []byte("backup")}
	for name, test := range map[string]struct {
		sent  [][]byte
		there bool // before the backup is asked for, and not only while it is sent
		force bool
		want  string // standard error, nothing if the file is replaced
	}{
		"without -force":                    {sent: whole, there: true, want: "nexus.backup is there already, and was left as it is: write the backup to another name, or use -force"},
		"without -force, come meanwhile":    {sent: whole, want: "nexus.backup is there already, and was left as it is"},
		"with -force":                       {sent: whole, there: true, force: true},
		"with -force, come meanwhile":       {sent: whole, force: true},
		"with -force, and it is broken off": {sent: broken, there: true, force: true, want: "read the backup again"},
	} {
		t.Run(name, func(t *testing.T) {
			f, addr := startFake(t)
			f.backup = test.sent
			dir := t.TempDir()
			path := filepath.Join(dir, "nexus.backup")
			put := func() {
				if err := os.WriteFile(path, []byte("of yesterday"), 0o600); err != nil {
					t.Error(err)
				}
			}
			if test.there {
				put()
			} else {
				f.before = put
			}
			args := []string{addr, "backup", path}
			if test.force {
				args = append(args, "-force")
			}
			code, _, stderr := run(t, args...)
			want := "of yesterday"
			if test.want == "" {
				want = string(bytes.Join(whole, nil))
			}
			if (code == exitOK) != (test.want == "") || !strings.Contains(stderr, test.want) {
				t.Errorf("%d %q", code, stderr)
			}
			left, err := os.ReadDir(dir)
			if got, rerr := os.ReadFile(path); err != nil || rerr != nil || string(got) != want || len(left) != 1 {
				t.Errorf("%q, %v %v, beside %v", got, err, rerr, left)
			}
		})
	}
}

// What is no plain file, such as a device or a link to one, is never replaced.
func TestBackupReplacesOnlyFiles(t *testing.T) {
	f, addr := startFake(t)
	f.backup = wholeBackup()
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, t.TempDir()} {
		code, _, stderr := run(t, addr, "backup", path, "-force")
		if code != exitFailure || !strings.Contains(stderr, path+" is there and is no plain file") {
			t.Errorf("%s: %d %q", path, code, stderr)
		}
	}
	if to, err := os.Readlink(link); err != nil || to != "nowhere" {
		t.Errorf("%q, %v", to, err)
	}
}

// A node without a majority makes a backup of what it has, and it is told that this may be little.
func TestBackupOfALoneNode(t *testing.T) {
	for _, alone := range []bool{false, true} {
		f, addr := startFake(t)
		f.backup, f.alone = wholeBackup(), alone
		path := filepath.Join(t.TempDir(), "nexus.backup")
		code, stdout, stderr := run(t, addr, "backup", path)
		if code != exitOK || !strings.Contains(stdout, "as of log index 7, 3 bytes") || strings.Contains(stderr, "has no leader") != alone {
			t.Errorf("alone %v: %d %q %q", alone, code, stdout, stderr)
		}
		_, stdout, _ = run(t, addr, "backup", path, "-json", "-force")
		for _, want := range []string{`"cluster": "ffffffffffffffff"`, `"node": "00000000000000c1"`, fmt.Sprintf(`"noLeader": %v`, alone)} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s is not in %s", want, stdout)
			}
		}
	}
}

// What breaks off leaves no file, neither under the name that was asked for nor beside it.
func TestBackupBrokenOff(t *testing.T) {
	f, addr := startFake(t)
	f.backup = [][]byte{[]byte("not a"), []byte("backup")}
	dir := t.TempDir()
	code, _, stderr := run(t, addr, "backup", filepath.Join(dir, "nexus.backup"))
	left, err := os.ReadDir(dir)
	if code != exitFailure || !strings.Contains(stderr, "read the backup again") || err != nil || len(left) > 0 {
		t.Errorf("%d %q, %v %v", code, stderr, left, err)
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{"help": {"-h"}, "help-status": {"status", "-h"}, "help-addNode": {"--help", "addNode"}} {
		code, stdout, _ := run(t, args...)
		if code != exitOK {
			t.Errorf("%s: exit status %d", name, code)
		}
		golden(t, filepath.Join("testdata", name+".golden"), stdout)
	}
	for _, v := range verbs() {
		if len(v.summary()) > 110 {
			t.Errorf("%s: the summary is too long for a line: %s", v.name, v.summary())
		}
		text := helpFor(&v)
		for _, e := range v.examples {
			words := strings.Fields(e)
			if !strings.Contains(e, v.name) || len(words) < 2 {
				t.Errorf("%s: the example %q is of something else", v.name, e)
			}
		}
		for _, f := range flagNames() {
			if !strings.Contains(text, f) {
				t.Errorf("%s: the help lacks %s", v.name, f)
			}
		}
	}
	// Every flag that is told of is one.
	for _, f := range flagsHelp() {
		value := map[string]string{"": "", "TIME": "5s", "N": "1", "FILE": "f"}[f.value]
		args := []string{"-" + f.name}
		if value != "" {
			args = append(args, value)
		}
		if _, err := parse(append(args, "127.0.0.1:1", "status")); err != nil {
			t.Errorf("flag -%s: %v", f.name, err)
		}
	}
}

func TestManPage(t *testing.T) {
	golden(t, "../../deploy/man/repl.1", manPage())
	code, stdout, _ := run(t, "-man")
	if code != exitOK || stdout != manPage() {
		t.Errorf("exit status %d", code)
	}
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip("man is not installed")
	}
	out, err := exec.Command(man, "--warnings", "-l", "-P", "cat", "../../deploy/man/repl.1").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("warning")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTable(t *testing.T) {
	rows := [][]cell{heads("A", ">N"), {{text: "ö", colour: green}, right("10")}, {{text: "long"}, {text: "5", right: true, colour: red}}}
	if got, want := writeTable(rows, false), "A      N\nö     10\nlong   5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := writeTable(rows, true); !strings.Contains(got, "\x1b[32mö\x1b[0m     10\n") || !strings.Contains(got, "long   \x1b[31m5\x1b[0m\n") {
		t.Errorf("got %q", got)
	}
}

func TestScreen(t *testing.T) {
	var b bytes.Buffer
	s, err := enterScreen(&b)
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := s.show("\x1b[31mabcdef\x1b[0m\nsecond\nthird\n", 4, 3); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "\x1b[H\x1b[31mabcd\x1b[0m\x1b[K\r\nseco\x1b[0m\x1b[K\r\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestColourIsAsked(t *testing.T) {
	if wantsColour(&bytes.Buffer{}, func(string) string { return "" }) {
		t.Error("colours in a pipe")
	}
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal to be had")
	}
	defer tty.Close()
	for _, test := range []struct {
		name, value string
		want        bool
	}{{"", "", true}, {"NO_COLOR", "1", false}, {"TERM", "dumb", false}} {
		got := wantsColour(tty, func(name string) string {
			if name == test.name {
				return test.value
			}
			return ""
		})
		if got != test.want {
			t.Errorf("with %s=%s: %v", test.name, test.value, got)
		}
	}
}

// A bar is only for a person.
func TestBar(t *testing.T) {
	s := &session{progress: &bytes.Buffer{}}
	if b := s.newBar("x", 1, false); b != nil {
		t.Error("a bar in a pipe")
	}
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal to be had")
	}
	defer tty.Close()
	s.progress = tty
	b := s.newBar("x", 10, false)
	if b == nil {
		t.Fatal("no bar on a terminal")
	}
	b.Add(5)
	b.Reach(6, 12)
	b.Close()
}
