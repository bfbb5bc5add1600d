package mysql

import (
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// The server does not double backticks in the names of foreign keys and of their columns.
func TestRequote(t *testing.T) {
	hidden := foreignKey{name: "x` CHECK(1)) AS SELECT * FROM mysql.global_priv#", columns: []string{"a`1", "b"}, table: "p`t", referenced: []string{"i`d", "j"}, onDelete: "SET NULL", onUpdate: "RESTRICT"}
	other := foreignKey{name: "y", columns: []string{"b"}, database: "o", table: "q", ofAnother: true, referenced: []string{"id"}, onDelete: "RESTRICT", onUpdate: "CASCADE"}
	const shown = ",\n  CONSTRAINT `x` CHECK(1)) AS SELECT * FROM mysql.global_priv#` FOREIGN KEY (`a`1`, `b`) REFERENCES `p``t` (`i`d`, `j`) ON DELETE SET NULL" +
		",\n  CONSTRAINT `y` FOREIGN KEY (`b`) REFERENCES `o`.`q` (`id`) ON UPDATE CASCADE"
	const right = ",\n  CONSTRAINT `x`` CHECK(1)) AS SELECT * FROM mysql.global_priv#` FOREIGN KEY (`a``1`, `b`) REFERENCES `p``t` (`i``d`, `j`) ON DELETE SET NULL" +
		",\n  CONSTRAINT `y` FOREIGN KEY (`b`) REFERENCES `o`.`q` (`id`) ON UPDATE CASCADE"
	const before, after = "CREATE TABLE `c(``d` (\n  `a``1` int(11) DEFAULT (1),\n  `b` int(11) COMMENT 'it''s \\' " + shown + "\n) '", ",\n  CONSTRAINT `c` CHECK (`b` > 1)\n) ENGINE=InnoDB"
	keys := []foreignKey{hidden, other}
	for _, definition := range []string{before + shown + after, before + right + after} {
		if got, ok := requote(definition, keys); !ok || got != before+right+after {
			t.Errorf("%v: %s", ok, got)
		}
	}
	if got, ok := requote(before+after, keys); ok {
		t.Errorf("without any: %s", got)
	}
}

// A server is filled with tables whose foreign keys have such names, and executes nothing of them.
func TestRestoreNamesOfForeignKeys(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE `d``b`"), schema(2, "CREATE DATABASE o"), schema(2, "CREATE TABLE o.`p``t` (`i``d` INT, j INT, PRIMARY KEY (`i``d`, j))"),
		schema(2, "CREATE TABLE `d``b`.own (`i``d` INT PRIMARY KEY, up INT, CONSTRAINT `x`` CHECK(1)) AS SELECT * FROM mysql.global_priv#` FOREIGN KEY (up) REFERENCES own (`i``d`) ON DELETE SET NULL ON UPDATE NO ACTION)"),
		schema(2, "CREATE TABLE `d``b`.`t``t` (`a``1` INT, b INT COMMENT 'CONSTRAINT `', c INT, CONSTRAINT `f``k` FOREIGN KEY (`a``1`, b) REFERENCES o.`p``t` (`i``d`, j) ON UPDATE CASCADE,"+
			" CONSTRAINT `F``K2` FOREIGN KEY (c) REFERENCES own (`i``d`) ON DELETE NO ACTION, CONSTRAINT `Ä``ü \n b` FOREIGN KEY (b) REFERENCES own (`i``d`), FOREIGN KEY (c) REFERENCES own (`i``d`),"+
			" CONSTRAINT ```` FOREIGN KEY (c) REFERENCES own (`i``d`) ON DELETE CASCADE, CONSTRAINT `c``h` CHECK (c>0))")))
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 2})
	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	const keys = "SELECT c.constraint_name, column_name, c.ordinal_position, referenced_table_schema, c.referenced_table_name, referenced_column_name, update_rule, delete_rule" +
		" FROM information_schema.key_column_usage c JOIN information_schema.referential_constraints r USING (constraint_schema, table_name, constraint_name) ORDER BY 1, 3"
	got, want := other.query(t, keys), m.query(t, keys)
	if got != want || !strings.Contains(want, "f`k") {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
