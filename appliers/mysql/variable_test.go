package mysql

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

const berlin = "'Europe/Berlin'"

// knowBerlin does what mysql_tzinfo_to_sql does, for one zone. A server looks for a zone again that it did not find.
func knowBerlin(t *testing.T, m *member) {
	t.Helper()
	m.exec(t, "INSERT INTO mysql.time_zone VALUES (1, 'N')", "INSERT INTO mysql.time_zone_name VALUES ("+berlin+", 1)",
		"INSERT INTO mysql.time_zone_transition_type VALUES (1, 0, 3600, 0, 'CET')")
}

// A variable that the leader's server takes and this one does not is written down all the same, and shows.
func TestVariableThatIsNotTaken(t *testing.T) {
	m := openMember(t, 1)
	set := func(index uint64, value string, tried bool) string {
		e := entry(2, index, EncodeVariable(2, "time_zone", value, tried))
		m.apply(t, e)
		return verdict(t, e)
	}
	m.apply(t, entry(2, 1))
	const unknown = "ERROR 1298 (HY000): Unknown or incorrect time zone: 'Europe/Berlin'"
	if got := set(2, berlin, true); got != unknown {
		t.Errorf("got %s", got)
	}
	held := func(want string, untaken int) {
		t.Helper()
		if got := m.query(t, "SELECT value FROM nexus.global_variable WHERE name='time_zone'"); got != want {
			t.Errorf("the log says %s, want %s", got, want)
		}
		if got := m.Stats().Untaken; got != untaken {
			t.Errorf("%d variables are not taken, want %d", got, untaken)
		}
	}
	held(berlin, 1)
	if got := set(3, "5", false); !strings.HasPrefix(got, "ERROR 1232") { // the same everywhere
		t.Errorf("got %s", got)
	}
	held(berlin, 1)
	if got := set(4, "'+01:00'", true); got != "done" {
		t.Errorf("got %s", got)
	}
	held("'+01:00'", 0)
	set(5, berlin, true)
	again := newMember(t, m.server, 1)
	_, err := again.Open(within(t, 40*time.Second), again.id)
	check(t, err)
	if got := again.Stats().Untaken; got != 1 {
		t.Errorf("%d variables are not taken after a restart", got)
	}
}

// What a client's session has set, and this server does not take, is no result of the schema change: it waits.
func TestSchemaWaitsForSettings(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1))
	e := entry(2, 2, EncodeSchema(2, []string{"SET SESSION time_zone=" + berlin}, "CREATE DATABASE bank"))
	err := m.Apply(within(t, 40*time.Second), []raft.Entry{e})
	var fatal *raft.FatalError
	if err == nil || errors.As(err, &fatal) || !strings.Contains(err.Error(), "Europe/Berlin") {
		t.Errorf("got %v", err)
	}
	if m.Healthy() == nil {
		t.Error("the backend counts as healthy")
	}
	if got := m.query(t, "SELECT idx FROM nexus.position"); got != "0" {
		t.Errorf("position %s", got)
	}
	knowBerlin(t, m)
	var behind *raft.BehindError
	if err := m.Apply(within(t, 40*time.Second), []raft.Entry{e}); !errors.As(err, &behind) { // the first entry was not written down
		t.Errorf("got %v", err)
	}
	m.apply(t, entry(2, 1), e)
	if got := verdict(t, e); got != "done" {
		t.Errorf("got %s", got)
	}
	// A database that was dropped meanwhile is missing everywhere.
	e = entry(2, 3, EncodeSchema(2, []string{"USE `gone`"}, "CREATE TABLE t (a INT)"))
	m.apply(t, e)
	if got := verdict(t, e); !strings.HasPrefix(got, "ERROR 1049") {
		t.Errorf("got %s", got)
	}
}

// What every account needs for its transactions is granted again, wherever a crash came after it was revoked.
func TestGrantsComeBack(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1))
	const text = "REVOKE INSERT ON nexus.applied FROM PUBLIC"
	granted := func(when string) {
		t.Helper()
		if got := m.query(t, "SELECT COUNT(*) FROM mysql.tables_priv WHERE user='PUBLIC' AND table_name='applied'"); got != "1" {
			t.Errorf("%s: %s grants", when, got)
		}
	}
	e := entry(2, 2, schema(2, text))
	o := operation{command: command{kind: kindSchema, epoch: 2, text: text}, entry: &e}
	check(t, m.schemaIntent(within(t, 40*time.Second), &o))
	m.exec(t, text)
	m.apply(t, e)
	granted("the change was found in the binary log")
	m.exec(t, text)
	again := newMember(t, m.server, 1)
	_, err := again.Open(within(t, 40*time.Second), again.id)
	check(t, err)
	granted("the node was started again")
}

// An engine that no server takes is the client's mistake, and does not stop the nodes.
func TestEngineThatIsNotReplaced(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank")))
	e := entry(2, 3, EncodeSchema(2, []string{"SET SESSION sql_mode='NO_ENGINE_SUBSTITUTION'"}, "CREATE TABLE bank.t (a INT) ENGINE=MyISAM"))
	m.apply(t, e)
	if got := verdict(t, e); !strings.HasPrefix(got, "ERROR 1290") {
		t.Errorf("got %s", got)
	}
}
