package mysqltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// suiteDir is where Debian's package mariadb-test-data puts the suite.
const suiteDir = "/usr/share/mysql/mysql-test"

// patience with one test.
const patience = 60 * time.Second

// codeSkipped is the exit code of mariadb-test where a test says that it cannot run here.
const codeSkipped = 62

// unsuited matches tests that want more than a server that answers: one they may start and stop or take the accounts of, one that
// was built for debugging, a second one that replicates, or the schema that measures.
var unsuited = regexp.MustCompile(`(?im)restart_mysqld|shutdown_mysqld|start_mysqld|kill_mysqld|shutdown_server|have_debug|have_perfschema|` +
	`master-slave|have_log_bin|have_binlog|galera|performance_schema|mysqlbinlog|MYSQLD_BOOTSTRAP|mysql_upgrade|MYSQL_UPGRADE|RESET\s+MASTER|` +
	`SHOW\s+BINLOG|binlog_format|wsrep|have_rocksdb|install\s+soname|install\s+plugin|MYSQLD_LAST_CMD|safe_process|datadir|truncate\s+table\s+mysql\.global_priv`)

// fileOf returns the path of a test without its ending. Tests of another suite than "main" are named "suite/test".
func fileOf(name string) string {
	suite, test, found := cutLast(name, "/")
	if !found {
		return filepath.Join(suiteDir, "main", name)
	}
	if dir := filepath.Join(suiteDir, "suite", suite, "t"); isDir(dir) {
		return filepath.Join(dir, test)
	}
	return filepath.Join(suiteDir, "suite", suite, test) // where tests and their results are together
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// cutLast is strings.Cut at the last separator: suites have slashes too ("compat/oracle").
func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// suits says why a test cannot be run, or "".
func suits(name string) string {
	base := fileOf(name)
	for _, ending := range []string{".opt", "-master.opt", ".cnf", ".combinations", "-master.sh"} {
		if _, err := os.Stat(base + ending); err == nil {
			return "wants options of the server"
		}
	}
	text, err := os.ReadFile(base + ".test")
	if err != nil {
		return "is not there"
	}
	if found := unsuited.Find(text); found != nil {
		return "wants a server of its own"
	}
	return ""
}

// printed is what mariadb-test did.
type printed struct {
	lines   []string
	skipped bool
	err     string // what broke it off
}

// target is a server, or a node, that tests run on.
type target struct {
	name string
	port int
	root string // where its servers may read and write files
	data string // of its server
}

// stdData is the directory of the files that tests read.
const stdData = "std_data"

// run runs a test on a target.
func (to target) run(ctx context.Context, dir, name string) (printed, error) {
	dir = filepath.Join(dir, to.name)
	err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Join(dir, "log"), 0o755), os.MkdirAll(filepath.Join(dir, "tmp"), 0o755),
		os.Symlink(filepath.Join(to.root, stdData), filepath.Join(dir, stdData)))
	if err != nil {
		return printed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result := filepath.Join(dir, filepath.Base(name)+".result")
	cmd := exec.CommandContext(ctx, "mariadb-test", "--no-defaults", "--silent", "--protocol=tcp", "--host=127.0.0.1", "--port="+strconv.Itoa(to.port), "--user=root",
		"--database=test", "--tmpdir="+filepath.Join(dir, "tmp"), "--character-sets-dir=/usr/share/mysql/charsets", "--logdir="+filepath.Join(dir, "log"),
		"--record", "--test-file="+fileOf(name)+".test", "--result-file="+result)
	if *onward {
		cmd.Args = append(cmd.Args, "--continue-on-error")
	}
	cmd.Dir = suiteDir
	cmd.Env = append(os.Environ(), to.environment(dir)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return printed{err: "took more than " + patience.String()}, nil
	case errors.As(err, &exit) && exit.ExitCode() == codeSkipped:
		return printed{skipped: true}, nil
	case errors.As(err, &exit):
		return printed{err: brokenBy(to.neutral(out.String(), dir))}, nil
	case err != nil:
		return printed{}, fmt.Errorf("run mariadb-test: %w", err)
	}
	data, err := os.ReadFile(result)
	if err != nil {
		return printed{err: "printed nothing"}, nil //nolint:nilerr // a test without a result
	}
	return printed{lines: strings.Split(to.neutral(string(data), dir), "\n")}, nil
}

// environment is what tests refer to.
func (to target) environment(dir string) []string {
	client := fmt.Sprintf(" --no-defaults --host=127.0.0.1 --port=%d --user=root", to.port)
	set := map[string]string{
		"MYSQL_TEST_DIR": suiteDir, "MYSQLTEST_VARDIR": dir, "MYSQL_TMP_DIR": filepath.Join(dir, "tmp"), "MASTER_MYPORT": strconv.Itoa(to.port),
		"MYSQL_SHAREDIR": "/usr/share/mysql", "MYSQL_CHARSETSDIR": "/usr/share/mysql/charsets", "DEFAULT_MASTER_PORT": "3306", "USE_RUNNING_SERVER": "1",
		"MYSQL": "mariadb" + client, "MYSQL_DUMP": "mariadb-dump" + client, "MYSQL_CHECK": "mariadb-check" + client, "MYSQL_SHOW": "mariadb-show" + client,
		"MYSQL_IMPORT": "mariadb-import" + client, "MYSQLADMIN": "mariadb-admin" + client, "MYSQL_SLAP": "mariadb-slap" + client,
		"MYSQL_TEST": "mariadb-test" + client, "LC_ALL": "C", "TZ": "GMT-3", "ENABLED_DEBUG": "0", "MTR_VERSION": "1",
	}
	list := make([]string, 0, len(set))
	for name, value := range set {
		list = append(list, name+"="+value)
	}
	return list
}

// neutral takes out of a text what tells one target from another.
func (to target) neutral(text, dir string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, dir, "DIR"), to.data, "DATA")
	text = scratchFile.ReplaceAllString(text, "DIR/tmpX")
	return strings.ReplaceAll(text, strconv.Itoa(to.port), "PORT")
}

// scratchFile is what mariadb-test writes perl into.
var scratchFile = regexp.MustCompile(`DIR/tmp[A-Za-z0-9]{6}\b`)

// failedClient is what a program said that a test executes.
var failedClient = regexp.MustCompile(`(?m)^ERROR .*$`)

var failedQuery = regexp.MustCompile(`(?s)(?:mysqltest: |\n)At line \d+: (.*?)(?:\n\n|\nThe result|$)`)

// brokenBy says in a line what mariadb-test stopped at.
func brokenBy(out string) string {
	found := failedQuery.FindStringSubmatch(out)
	if found == nil {
		return oneLine("mariadb-test failed: " + out)
	}
	if said := failedClient.FindString(out); said != "" && strings.HasPrefix(found[1], "exec of ") {
		return oneLine("exec: " + said)
	}
	return oneLine(found[1])
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.ToValidUTF8(s, "?")
}

// compare tells the outcome of a test from what it printed directly and through a node.
func compare(name string, direct, through printed) outcome {
	switch {
	case direct.skipped || direct.err != "":
		return outcome{name, skipped, oneLine("directly: " + direct.err)}
	case through.err != "":
		return outcome{name, stopped, through.err}
	case through.skipped:
		return outcome{name, differs, "skips itself through a node"}
	}
	for i, want := range direct.lines {
		if i >= len(through.lines) {
			return outcome{name, differs, "ends early"}
		}
		if got := through.lines[i]; got != want {
			return outcome{name, differs, oneLine(fmt.Sprintf("line %d: %s, directly %s", i+1, brief(got), brief(want)))}
		}
	}
	if len(through.lines) > len(direct.lines) {
		return outcome{name, differs, "goes on longer"}
	}
	return outcome{name, same, ""}
}

func brief(line string) string {
	if len(line) > 80 {
		line = line[:80]
	}
	return "`" + strings.TrimSpace(line) + "`"
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		direct, through printed
		want            string
	}{
		{printed{lines: []string{"a", "b"}}, printed{lines: []string{"a", "b"}}, same},
		{printed{lines: []string{"a", "b"}}, printed{lines: []string{"a", "c"}}, differs},
		{printed{lines: []string{"a", "b"}}, printed{lines: []string{"a"}}, differs},
		{printed{lines: []string{"a"}}, printed{lines: []string{"a", "b"}}, differs},
		{printed{lines: []string{"a"}}, printed{err: "query failed"}, stopped},
		{printed{err: "query failed"}, printed{err: "query failed"}, skipped},
		{printed{skipped: true}, printed{}, skipped},
	} {
		if got := compare("x", tc.direct, tc.through); got.result != tc.want {
			t.Errorf("%v and %v: %v, want %s", tc.direct, tc.through, got, tc.want)
		}
	}
	if got := brokenBy("mysqltest: In included file \"x\": \nincluded from y at line 3:\nAt line 8: query 'A' failed: 1235: no"); got != "query 'A' failed: 1235: no" {
		t.Error(got)
	}
	if got := brokenBy("ERROR 1235 (42000) at line 1: no\nmysqltest: At line 8: exec of 'mariadb < DIR/x' failed, error: 256\n\nThe result"); got != "exec: ERROR 1235 (42000) at line 1: no" {
		t.Error(got)
	}
	if got := (target{port: 3306, data: "/x/data"}).neutral("/x/data/test /y/tmp/a /y/tmpAb12zZ 3306", "/y"); got != "DATA/test DIR/tmp/a DIR/tmpX PORT" {
		t.Error(got)
	}
	if got := brokenBy("mysqltest: At line 8: query 'LOCK  TABLES\n t' failed: 1235: no\n\nThe result"); got != "query 'LOCK TABLES t' failed: 1235: no" {
		t.Error(got)
	}
}
