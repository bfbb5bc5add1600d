//go:build clients

package mysql

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// expectation is what each program prints about its features.
const expectation = `id=1
name=naïve 😀 it's
price=1234567890123456.7891
made=2024-02-29 12:34:56.123
data=00ff275c0a
note=null
updated=1
committed=3
rolledback=3
savepoint=4
duplicate=1062
selected=fourth,second
left=3
`

// program is one that works with a library.
type program struct {
	name string
	// prepare installs what is missing, and returns how the program is called.
	prepare func(t *testing.T) []string
}

func programs() []program {
	return []program{
		{"mariadb", func(*testing.T) []string { return []string{"bash", "cli/app.sh"} }},
		{"go-sql-driver", func(t *testing.T) []string { return []string{buildGo(t, "driver")} }},
		{"gorm", func(t *testing.T) []string { return []string{buildGo(t, "gorm")} }},
		{"sqlalchemy", func(t *testing.T) []string {
			need(t, []string{python, "-c", "import sqlalchemy, pymysql"}, "python3", "python3-sqlalchemy", "python3-pymysql")
			return []string{python, "-B", "python/sqlalchemy_app.py"}
		}},
		{"django", func(t *testing.T) []string {
			need(t, []string{python, "-c", "import django, MySQLdb"}, "python3", "python3-django", "python3-mysqldb")
			return []string{python, "-B", "python/django_app.py"}
		}},
		{"mysql2", nodeProgram("mysql2.js")},
		{"sequelize", nodeProgram("sequelize.js")},
		{"typeorm", nodeProgram("typeorm.js")},
		{"knex", nodeProgram("knex.js")},
		{"connector-j", func(t *testing.T) []string {
			need(t, []string{"javac", "--version"}, "default-jdk-headless")
			need(t, []string{"test", "-e", connectorJ}, "libmariadb-java")
			dir := t.TempDir()
			run(t, "", "javac", "-encoding", "UTF-8", "-d", dir, "java/App.java")
			return []string{"java", "-Dfile.encoding=UTF-8", "-Duser.timezone=UTC", "-cp", connectorJ + ":" + dir, "App"}
		}},
		{"pdo", func(t *testing.T) []string {
			need(t, []string{"php", "-r", "exit(extension_loaded('pdo_mysql') ? 0 : 1);"}, "php-cli", "php-mysql")
			return []string{"php", "php/app.php"}
		}},
	}
}

func nodeProgram(name string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		needNode(t)
		return []string{"node", filepath.Join("node", name)}
	}
}

func buildGo(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	run(t, "golang", "go", "build", "-o", bin, "./"+name)
	return bin
}

// Each library works with the leader and with a follower, and goes on when the leader dies and when another takes over:
// what was acknowledged is there once, on all nodes.
func TestClients(t *testing.T) {
	c, _ := startCluster(t)
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			command := p.prepare(t)
			leader, err := c.Leader(within(t, 60*time.Second))
			check(t, err)
			follower, err := c.Follower(within(t, 60*time.Second))
			check(t, err)
			for role, n := range map[string]*cluster.Node{"leader": leader, "follower": follower} {
				t.Run(role, func(t *testing.T) { features(t, command, n, databaseOf(p.name, role)) })
			}
			t.Run("failover", func(t *testing.T) { failover(t, command, c, databaseOf(p.name, "work")) })
			awaitEqual(t, c)
			verify(t, c)
		})
	}
}

func databaseOf(program, role string) string {
	return strings.ReplaceAll(program, "-", "_") + "_" + role
}

func features(t *testing.T, command []string, n *cluster.Node, database string) {
	createDatabase(t, n, database)
	cmd := programCommand(within(t, 2*time.Minute), command, "features", "NEXUS_HOST=127.0.0.1",
		fmt.Sprintf("NEXUS_PORT=%d", n.Ports.Client), "NEXUS_DATABASE="+database)
	out, err := cmd.Output()
	if err != nil || string(out) != expectation {
		t.Errorf("%v: %v\ngot\n%s\nwant\n%s\nsaid\n%s", command, err, out, expectation, cmd.Stderr)
	}
}

func programCommand(ctx context.Context, command []string, mode string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], mode)...)
	cmd.Env = append(os.Environ(), append(env, "PYTHONIOENCODING=utf-8", "LC_ALL=C.UTF-8")...)
	cmd.Stderr = new(bytes.Buffer)
	return cmd
}

// units of work that a program does while leaders come and go.
const units = 150

func failover(t *testing.T, command []string, c *cluster.Cluster, database string) {
	ctx := within(t, 3*time.Minute)
	leader, err := c.Leader(ctx)
	check(t, err)
	createDatabase(t, leader, database)
	db := open(t, leader)
	execute(t, db, "CREATE TABLE "+database+".work (id INT PRIMARY KEY)", "CREATE TABLE "+database+".tally (id INT PRIMARY KEY, n INT)",
		"INSERT INTO "+database+".tally VALUES (1, 0)")
	var addresses []string
	for _, n := range c.Nodes {
		addresses = append(addresses, n.Addr())
	}
	cmd := programCommand(ctx, command, "work", "NEXUS_ADDRESSES="+strings.Join(addresses, ","), fmt.Sprintf("NEXUS_COUNT=%d", units), "NEXUS_DATABASE="+database)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	done := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "done ") { // a library that talks about its troubles
			continue
		}
		done++
		if want := fmt.Sprintf("done %d", done); lines.Text() != want {
			t.Fatalf("the program printed %q, want %q", lines.Text(), want)
		}
		switch done {
		case units / 3:
			check(t, leader.Kill())
		case units / 2:
			check(t, leader.StartReady(ctx))
		case units * 2 / 3:
			transfer(t, c)
		}
	}
	if err := cmd.Wait(); err != nil || done != units {
		t.Fatalf("%d units are done, want %d: %v\n%s", done, units, err, cmd.Stderr)
	}
	check(t, c.AwaitReady(ctx))
	if leader, err = c.Leader(ctx); err != nil {
		t.Fatal(err)
	}
	got := mustQuery(t, open(t, leader), "SELECT (SELECT COUNT(*) FROM "+database+".work), (SELECT n FROM "+database+".tally)")
	if want := fmt.Sprintf("%d,%d", units, units); got != want {
		t.Errorf("rows and tally are %s, want %s", got, want)
	}
}
