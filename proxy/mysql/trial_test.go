package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// What a program does with a schema change that may be of a temporary table, before its node is asked.
func TestTrials(t *testing.T) {
	p := newProcedure("empties", "BEGIN TRUNCATE TABLE a; DROP TABLE IF EXISTS `b c`, other.d; RENAME TABLE a TO b; TRUNCATE mysql.x; CREATE TABLE t (a INT); COMMIT; ALTER TABLE sys.t ADD a INT; DROP VIEW v; DROP TABLE nexus.t, a; OPTIMIZE TABLE a; END")
	r := &programRun{level: &level{p: p}, s: &session{id: 42}, tag: "0123456789ab", leader: 7}
	var out strings.Builder
	for i := range p.program.Steps {
		step := &p.program.Steps[i]
		out.WriteString(step.Text + "\n\t" + strings.ReplaceAll(strings.TrimSpace(r.trial(p, step)), "; ", ";\n\t") + "\n")
	}
	out.WriteString("EXECUTE IMMEDIATE x\n\t" + strings.ReplaceAll(strings.TrimSpace(r.trialOfText("EXECUTE IMMEDIATE x")), "; ", ";\n\t") + "\n")
	golden := filepath.Join("testdata", "trial.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// A text is tried if it is known which table it names, and if that is one.
func TestAttempts(t *testing.T) {
	d := statement.Dialect{MariaDB: true, Version: 101119}
	for _, tc := range []struct{ text, database, want string }{
		{"TRUNCATE t", "app", "`app`.`t`"}, {"TRUNCATE TABLE other.`a``b` ", "", "`other`.`a``b`"}, {"ALTER TABLE t ADD a INT", "app", "`app`.`t`"}, {"DROP TABLE IF EXISTS t", "app", "`app`.`t`"}, {"CREATE INDEX i ON t (a)", "app", "`app`.`t`"},
		{"TRUNCATE t", "", ""}, {"DROP TABLE t, u", "app", ""}, {"RENAME TABLE t TO u", "app", ""}, {"OPTIMIZE TABLE t", "app", ""}, {"TRUNCATE performance_schema.t", "app", ""}, {"TRUNCATE t", "MySQL", ""}, {"CREATE TABLE t (a INT)", "app", ""},
		{"INSERT INTO t VALUES (1)", "app", ""}, {"COMMIT", "app", ""}, {"ALTER DATABASE app COMMENT 'x'", "app", ""}, {"ALTER SEQUENCE s RESTART", "app", ""},
	} {
		got := ""
		if a := attemptOf(&prepared{text: tc.text, what: statement.Classify(tc.text, d), dialect: d, told: true}, tc.database, d); a != nil {
			got = a.table
		}
		if got != tc.want {
			t.Errorf("%s in %s: got %q, want %q", tc.text, tc.database, got, tc.want)
		}
	}
	other := &prepared{text: "TRUNCATE t", what: statement.Classify("TRUNCATE t", d), dialect: statement.Dialect{MariaDB: true, AnsiQuotes: true}, told: true}
	if attemptOf(other, "app", d) != nil {
		t.Error("a text is tried that was read with another sql_mode")
	}
}
