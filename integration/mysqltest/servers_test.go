package mysqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// serverFlags of all servers: tables are InnoDB whatever a test says, with a note, as they are behind a node.
// Files are read and written in a directory of the test's own.
func serverFlags(files string) []string {
	return []string{"--sql-mode=STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER", "--character-set-server=latin1", "--local-infile", "--skip-name-resolve=0", "--secure-file-priv=" + files}
}

// lab is a server alone and a cluster.
type lab struct {
	alone   *cluster.MariaDB
	cluster *cluster.Cluster
	leader  *cluster.Node
	dir     string
	beside  string // see writtenBeside

	// Global variables that the server alone, and the leader, began with: what a test leaves set is set back.
	directly, thence map[string]string
}

func newLab(t *testing.T, dir string) *lab {
	t.Helper()
	port, err := cluster.FreePort()
	check(t, err)
	alone, err := cluster.NewMariaDB("alone", filepath.Join(t.TempDir(), "alone"), port)
	check(t, err)
	check(t, os.RemoveAll(filepath.Join(dir, stdData)))
	check(t, os.CopyFS(filepath.Join(dir, stdData), os.DirFS(filepath.Join(suiteDir, stdData))))
	alone.Args = append(alone.Args, append(serverFlags(dir), "--enforce-storage-engine=InnoDB", "--log-bin-trust-function-creators=1")...)
	l := &lab{alone: alone, dir: dir, cluster: clustertest.New(t, cluster.Options{MySQL: true, Binary: nodeBinary})}
	for _, n := range l.cluster.Nodes {
		n.MariaDB.Args = append(n.MariaDB.Args, serverFlags(dir)...)
	}
	check(t, alone.StartReady(within(t, 40*time.Second)))
	t.Cleanup(func() { _ = l.alone.Kill() })
	check(t, l.cluster.StartReady(within(t, 60*time.Second)))
	l.leader, err = l.cluster.Leader(within(t, 40*time.Second))
	check(t, err)
	for _, db := range []*sql.DB{l.direct(t), l.through(t)} {
		check(t, prepare(within(t, 60*time.Second), db))
	}
	for _, at := range []struct {
		db *sql.DB
		to *map[string]string
	}{{l.direct(t), &l.directly}, {l.through(t), &l.thence}} {
		*at.to, err = globals(within(t, 40*time.Second), at.db)
		check(t, err)
	}
	l.writtenBeside(t)
	return l
}

func (l *lab) direct(t *testing.T) *sql.DB {
	t.Helper()
	db, err := l.alone.Client()
	check(t, err)
	return closedLater(t, db)
}

func (l *lab) through(t *testing.T) *sql.DB {
	t.Helper()
	db, err := l.leader.SQL()
	check(t, err)
	return closedLater(t, db)
}

// closedLater keeps no connection open meanwhile: each test of the suite asks for some.
func closedLater(t *testing.T, db *sql.DB) *sql.DB {
	db.SetMaxIdleConns(-1)
	t.Cleanup(func() { db.Close() })
	return db
}

// test runs one test on both, and leaves them as they were.
func (l *lab) test(t *testing.T, name string) outcome {
	t.Helper()
	if reason := suits(name); reason != "" {
		return outcome{name, skipped, reason}
	}
	ctx := within(t, 5*time.Minute)
	var err error
	l.leader, err = l.cluster.Leader(within(t, 40*time.Second))
	check(t, err)
	direct, err := target{"direct", l.alone.Port, l.dir, l.alone.DataDir}.run(ctx, filepath.Join(l.dir, name), name)
	check(t, err)
	if err := errors.Join(rollBackPrepared(ctx, l.direct(t)), setBack(ctx, l.direct(t), l.directly), prepare(ctx, l.direct(t))); err != nil {
		l.renew(t, err)
	}
	if direct.skipped || direct.err != "" && !*onward {
		return compare(name, direct, printed{})
	}
	through, err := target{"through", l.leader.Ports.Client, l.dir, l.leader.MariaDB.DataDir}.run(ctx, filepath.Join(l.dir, name), name)
	check(t, err)
	o := compare(name, direct, through)
	if err := l.equal(ctx); err != nil {
		return outcome{name, unequal, err.Error()}
	}
	l.leader, err = l.cluster.Leader(within(t, 40*time.Second))
	check(t, err)
	if o.result != skipped {
		if table := l.writtenBeside(t); table != "" {
			o = outcome{name, unequal, "something was written beside the log: " + table}
		}
	}
	check(t, setBack(ctx, l.through(t), l.thence))
	if err := prepare(ctx, l.through(t)); err != nil {
		sessions, listErr := column(ctx, l.through(t), "SELECT CONCAT_WS(' ', id, command, time, state, info, trx_state, trx_query) FROM information_schema.processlist LEFT JOIN information_schema.innodb_trx ON id=trx_mysql_thread_id")
		t.Errorf("%s: clean up: %v; sessions: %q, %v", name, err, sessions, listErr)
		check(t, prepare(ctx, l.through(t)))
	}
	return o
}

// writtenBeside returns how often nodes have found since the last call that their server was written to beside the log.
func (l *lab) writtenBeside(t *testing.T) string {
	t.Helper()
	total := ""
	for _, n := range l.cluster.Nodes {
		resp, err := http.Get("http://" + n.MetricsAddr() + "/metrics")
		check(t, err)
		body, err := io.ReadAll(resp.Body)
		check(t, errors.Join(err, resp.Body.Close()))
		_, after, _ := strings.Cut(string(body), "\nnexus_mysql_beside_total ")
		count, _, _ := strings.Cut(after, "\n")
		total += n.Name + " " + count + " times "
	}
	before := l.beside
	l.beside = total
	if before == total || before == "" {
		return ""
	}
	return total
}

// renew starts the server that a test has broken again: cause says how.
func (l *lab) renew(t *testing.T, cause error) {
	t.Helper()
	_ = l.alone.Kill()                           // it may have ended by itself
	if strings.Contains(cause.Error(), "1010") { // a file of the test's own keeps its database from being dropped
		check(t, os.RemoveAll(filepath.Join(l.alone.DataDir, "test")))
	}
	check(t, l.alone.StartReady(within(t, 40*time.Second)))
	check(t, prepare(within(t, 60*time.Second), l.direct(t)))
}

// kept are the databases that no test made.
var kept = []string{"mysql", "information_schema", "performance_schema", "sys", "nexus"}

// prepare removes what a test has left, and makes what tests begin with.
func prepare(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	databases, err := column(ctx, conn, "SHOW DATABASES")
	if err != nil {
		return err
	}
	texts := []string{"SET foreign_key_checks=0"}
	for _, name := range databases {
		if !slices.Contains(kept, name) {
			texts = append(texts, "DROP DATABASE `"+strings.ReplaceAll(name, "`", "``")+"`")
		}
	}
	accounts, err := column(ctx, conn, "SELECT CONCAT(IF(is_role='Y', 'ROLE ', 'USER '), QUOTE(User), IF(is_role='Y', '', CONCAT('@', QUOTE(Host)))) FROM mysql.user WHERE User NOT IN ('root','mariadb.sys','PUBLIC','mysql')")
	if err != nil {
		return err
	}
	for _, account := range accounts {
		texts = append(texts, "DROP "+account)
	}
	texts = append(texts, "CREATE DATABASE test CHARACTER SET latin1", "CREATE DATABASE mtr", "CREATE PROCEDURE mtr.add_suppression(pattern VARCHAR(255)) BEGIN END")
	for _, text := range texts {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// rollBackPrepared ends what a test has left prepared, with locks that nobody else would end.
func rollBackPrepared(ctx context.Context, db *sql.DB) error {
	names, err := column(ctx, db, "XA RECOVER FORMAT='SQL'")
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, "XA ROLLBACK "+name); err != nil {
			return err
		}
	}
	return nil
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// column returns the last column of the rows.
func column(ctx context.Context, q queryer, text string, args ...any) ([]string, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var list []string
	for rows.Next() {
		values := make([]any, len(names))
		var last sql.NullString
		for i := range values {
			values[i] = new(sql.RawBytes)
		}
		values[len(values)-1] = &last
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		list = append(list, last.String)
	}
	return list, rows.Err()
}

// equal waits until all servers hold the same, for as long as applying may take: each row of a table without keys that is changed
// is looked for among all of its rows.
func (l *lab) equal(ctx context.Context) error {
	deadline := time.Now().Add(150 * time.Second)
	for {
		err := l.compareServers(ctx)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *lab) compareServers(ctx context.Context) error {
	var first []string
	for i, n := range l.cluster.Nodes {
		held, err := contents(ctx, n.MariaDB)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", n.Name, err)
		case i == 0:
			first = held
		case !slices.Equal(first, held):
			return fmt.Errorf("%s holds %d things, another %d: %s", n.Name, len(held), len(first), firstDifference(first, held))
		}
	}
	return nil
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return oneLine(a[i]) + " and " + oneLine(b[i])
		}
	}
	return "one ends early"
}

// contents are the definitions and checksums of what clients made on a server.
func contents(ctx context.Context, m *cluster.MariaDB) ([]string, error) {
	db, err := m.Client()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	tables, err := column(ctx, db, "SELECT CONCAT('`', REPLACE(table_schema,'`','``'), '`.`', REPLACE(table_name,'`','``'), '`') FROM information_schema.tables WHERE table_type='BASE TABLE'"+
		" AND table_schema NOT IN ('"+strings.Join(kept, "','")+"') ORDER BY 1")
	if err != nil {
		return nil, err
	}
	var held []string
	for _, text := range []string{
		"SELECT CONCAT_WS(' ', routine_schema, routine_name, definer, MD5(routine_definition), sql_mode) FROM information_schema.routines WHERE routine_schema<>'sys' ORDER BY 1",
		"SELECT CONCAT_WS(' ', trigger_schema, trigger_name, definer, action_statement, sql_mode) FROM information_schema.triggers ORDER BY 1",
		"SELECT CONCAT_WS(' ', table_schema, table_name, definer, view_definition) FROM information_schema.views WHERE table_schema<>'sys' ORDER BY 1",
		"SELECT CONCAT_WS(' ', Host, User, Priv) FROM mysql.global_priv WHERE User NOT IN ('root','mariadb.sys') ORDER BY 1",
		"SELECT CONCAT_WS(' ', schema_name, default_collation_name) FROM information_schema.schemata ORDER BY 1",
	} {
		list, err := column(ctx, db, text)
		if err != nil {
			return nil, err
		}
		held = append(held, list...)
	}
	for _, table := range tables {
		definition, err := column(ctx, db, "SHOW CREATE TABLE "+table)
		if err != nil {
			return nil, err
		}
		sum, err := checksum(ctx, db, table)
		if err != nil {
			return nil, err
		}
		held = append(held, table+withoutNextID(strings.Join(definition, ""))+sum)
	}
	return held, nil
}

// checksum is of the columns that are stored: CHECKSUM TABLE differs where others are of type TEXT.
func checksum(ctx context.Context, db *sql.DB, table string) (string, error) {
	columns, err := column(ctx, db, "SELECT CONCAT('IFNULL(MD5(', IF(data_type IN ('geometry','point','linestring','polygon','multipoint','multilinestring','multipolygon','geometrycollection'),"+
		" CONCAT('ST_AsWKB(`', REPLACE(column_name,'`','``'), '`)'), CONCAT('`', REPLACE(column_name,'`','``'), '`')), '),0)') FROM information_schema.columns"+
		" WHERE is_generated='NEVER' AND CONCAT('`', REPLACE(table_schema,'`','``'), '`.`', REPLACE(table_name,'`','``'), '`')=? ORDER BY ordinal_position", table)
	if err != nil || len(columns) == 0 {
		return "", err
	}
	sums, err := column(ctx, db, "SELECT CONCAT(COUNT(*), ' ', BIT_XOR(CRC32(CONCAT("+strings.Join(columns, ",")+"))), ' ', IFNULL(SUM(CRC32(CONCAT("+strings.Join(columns, ",")+"))),0)) FROM "+table)
	return strings.Join(sums, ""), err
}

// withoutNextID leaves out the next id, which is the leader's business.
func withoutNextID(definition string) string {
	before, after, found := strings.Cut(definition, " AUTO_INCREMENT=")
	if !found {
		return definition
	}
	return before + strings.TrimLeft(after, "0123456789")
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
