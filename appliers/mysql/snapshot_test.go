package mysql

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

func takeSnapshot(t *testing.T, m *member, at raft.Position) *raft.Snapshot {
	t.Helper()
	r, err := m.Snapshot(within(t, 30*time.Second))
	check(t, err)
	data, err := io.ReadAll(r)
	check(t, err)
	check(t, r.Close())
	return &raft.Snapshot{Position: at, Origin: m.id, Data: bytes.NewReader(data), Size: int64(len(data))}
}

func digestOf(t *testing.T, m *member, snap *raft.Snapshot) map[string]uint64 {
	t.Helper()
	sums := make(map[string]uint64)
	check(t, m.Digest(within(t, 40*time.Second), snap, func(part string, key, value uint64) { sums[part] += key ^ value*31 }))
	return sums
}

// A server that was filled from a snapshot holds what the other did, and goes on with the log.
func TestSnapshotAndRestore(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank CHARACTER SET latin1"), schema(2, createAccounts),
		schema(2, "CREATE TABLE bank.kinds (a INT UNSIGNED, b FLOAT, c DOUBLE, d DECIMAL(30,10), e BIT(12), f BLOB, g TEXT CHARACTER SET utf8mb4, h JSON,"+
			" i TIMESTAMP(6) NULL, j DATETIME(3), k TIME, l YEAR, m ENUM('x','é'), n SET('p','q'), o GEOMETRY, s BIGINT AS (a+1) STORED, t CHAR(3) CHARACTER SET latin1, u UUID)"),
		schema(2, "CREATE TABLE bank.child (id INT PRIMARY KEY, account INT, FOREIGN KEY (account) REFERENCES bank.accounts (id) ON DELETE CASCADE)"),
		schema(2, "CREATE TABLE bank.made (a INT AS (1), b VARCHAR(10) AS ('x') STORED)"),
		schema(2, "CREATE FUNCTION bank.double_of(n INT) RETURNS INT DETERMINISTIC RETURN 2*n"),
		schema(2, "CREATE VIEW bank.a_view AS SELECT * FROM bank.b_view"),
		schema(2, "CREATE VIEW bank.b_view AS SELECT id, bank.double_of(balance) AS b FROM bank.accounts"),
		schema(2, "CREATE OR REPLACE VIEW bank.a_view AS SELECT * FROM bank.b_view"),
		schema(2, "CREATE TRIGGER bank.more BEFORE INSERT ON bank.accounts FOR EACH ROW SET NEW.balance=NEW.balance+1"),
		schema(2, "CREATE USER app@'%' IDENTIFIED BY 'secret'"), schema(2, "GRANT SELECT, INSERT ON bank.* TO app@'%'")))
	s := m.session(t)
	_, data := m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1), (2, NULL, 2)", "INSERT INTO bank.child VALUES (1, 1)",
		"INSERT INTO bank.made VALUES (), ()", "SET NAMES utf8mb4", "INSERT INTO bank.kinds (a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,t,u) VALUES (4294967295, 0.1, 1e300/3, 12345678901234567890.0123456789, b'101010101010',"+
			" x'00ff27225c0a1a', 'naïve 😀 ''\\\\', '{\"a\": [1]}', NOW(6), NOW(3), '-10:11:12', 2024, 'é', 'p,q', POINT(1,2), 'ñü', UUID()), (NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)")
	m.apply(t, entry(2, 3, data))
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 3})

	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	want := digestOf(t, m, snap)
	got := digestOf(t, other, takeSnapshot(t, other, snap.Position))
	if len(want) != 5 { // definitions and four tables
		t.Errorf("parts: %v", want)
	}
	for part := range want {
		if got[part] != want[part] {
			t.Errorf("%s differs", part)
		}
	}
	for _, q := range []string{
		"SELECT *, HEX(f), HEX(e), ST_AsText(o), b+0e0 FROM bank.kinds", "CHECKSUM TABLE bank.kinds EXTENDED", "SELECT * FROM bank.made", "SELECT * FROM bank.a_view",
		"SELECT Priv FROM mysql.global_priv WHERE User='app'", "SHOW GRANTS FOR app@'%'", "SELECT term, idx FROM nexus.position",
	} {
		if got, want := other.query(t, q), m.query(t, q); got != want && q != "SELECT term, idx FROM nexus.position" {
			t.Errorf("%s:\n got %s\nwant %s", q, got, want)
		}
	}
	// It goes on.
	_, data = m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES (3, 'c', 1)")
	m.apply(t, entry(2, 4, data))
	other.apply(t, entry(2, 4, data))
	if got := other.query(t, "SELECT balance FROM bank.accounts WHERE id=3"); got != "2" {
		t.Errorf("got %s", got)
	}
	// Again, over what is there.
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	if got := other.query(t, "SELECT COUNT(*) FROM bank.accounts"); got != "2" {
		t.Errorf("%s accounts after the second restore", got)
	}
}

// A table that has no history any more, but columns that had none, is made as it is.
func TestMakeTable(t *testing.T) {
	const columns = "CREATE TABLE `a (b` (\n  `id` int(11) NOT NULL,\n  `x` int(11) DEFAULT NULL%s,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB%s"
	with := func(column, behind string) string { return fmt.Sprintf(columns, column, behind) }
	const without, drop = " WITHOUT SYSTEM VERSIONING", "ALTER TABLE `a (b` DROP SYSTEM VERSIONING"
	for definition, want := range map[string][]string{
		with("", ""):                                               {with("", "")},
		with(without, " WITH SYSTEM VERSIONING"):                   {with(without, " WITH SYSTEM VERSIONING")},
		with(without, " COMMENT='c'"):                              {with(without, " COMMENT='c' WITH SYSTEM VERSIONING"), drop},
		with(" COMMENT 'x WITHOUT SYSTEM VERSIONING'", ""):         {with(" COMMENT 'x WITHOUT SYSTEM VERSIONING'", "")},
		with(" COMMENT '\n) it''s'"+without, " COMMENT='\n) '"):    {with(" COMMENT '\n) it''s'"+without, " COMMENT='\n) ' WITH SYSTEM VERSIONING"), drop},
		with(without, "\n PARTITION BY HASH (`id`)\nPARTITIONS 2"): {with(without, " WITH SYSTEM VERSIONING\n PARTITION BY HASH (`id`)\nPARTITIONS 2"), drop},
	} {
		if got := makeTable(definition); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", definition, got, want)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	m := openMember(t, 1)
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 3})
	stranger := newMember(t, m.server, 2)
	if err := stranger.Restore(within(t, 40*time.Second), stranger.id, snap); err == nil {
		t.Error("another node's server was overwritten")
	}
	cut := *snap
	whole, err := io.ReadAll(snap.Data)
	check(t, err)
	cut.Data = bytes.NewReader(whole[:len(whole)/2])
	if err := m.Restore(within(t, 40*time.Second), m.id, &cut); err == nil {
		t.Error("half a snapshot was restored")
	}
}
