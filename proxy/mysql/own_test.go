package mysql

import (
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

func TestRefuseSchema(t *testing.T) {
	for _, tc := range []struct {
		text, current string
		refused       bool
	}{
		{"DROP TABLE nexus.position", "app", true},
		{"DROP TABLE a, `nexus` . `applied`", "app", true},
		{"DROP TABLE a, position", "nexus", true},
		{"ALTER TABLE address ADD b INT", "nexus", true},
		{"TRUNCATE applied", "nexus", true},
		{"DROP DATABASE IF EXISTS `nexus`;", "", true},
		{"CREATE TABLE people (id INT, address TEXT)", "nexus", false},
		{"DROP TABLE position", "app", false},
		{"DROP DATABASE nexus2", "", false},
		{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", "app", false},
		{"CREATE EVENT mysql.e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", "app", true},
		{"CREATE OR REPLACE SEQUENCE s", "app", false},
		{"DROP TABLE nexus/**/./**/position", "app", true},
		{"DROP TABLE`nexus`.`position`", "app", true},
		{`DROP TABLE "nexus"."position"`, "app", true},
		{"DROP TABLE /*!50000 nexus*/.position", "app", true},
		{"DROP DATABASE/**/nexus", "app", true},
		{"DROP DATABASE`nexus` -- all", "app", true},
		{`DROP SCHEMA IF/**/EXISTS "nexus"`, "app", true},
		{"DROP DATABASE/**/mysql", "app", true},
		{"CREATE OR REPLACE DATABASE nexus", "app", true},
		{"CREATE OR/**/REPLACE SCHEMA `mysql` CHARACTER SET utf8mb4", "app", true},
		{"CREATE OR REPLACE DATABASE mysql2", "app", false},
		{"CREATE DATABASE MySQL", "app", true},
		{"CREATE DATABASE IF NOT EXISTS mysql", "app", false},
		{"CREATE DATABASE IF NOT EXISTS nexus", "app", false},
		{"DROP TABLE mysql/**/.user", "app", true},
		{"DROP TABLE t, mysql.user", "app", true},
		{"RENAME TABLE t TO u, `mysql`.user TO v", "app", true},
		{"DROP TABLE t, mysql", "app", false},
		{"ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES address (node)", "nexus", true},
		{"CREATE TRIGGER t BEFORE INSERT ON/**/applied FOR EACH ROW SET @a=1", "nexus", true},
		{"CREATE TRIGGER t BEFORE INSERT ON`applied`FOR EACH ROW SET @a=1", "nexus", true},
		{"CREATE VIEW v AS SELECT * FROM position", "nexus", true},
		{"CREATE VIEW v AS SELECT * FROM position", "app", false},
		{"CREATE PROCEDURE p() UPDATE position SET idx=0", "nexus", true},
		{"DROP TABLE nexus.event_run", "app", true},
		{"ALTER TABLE event_run DROP due", "nexus", true},
		{"CREATE TRIGGER t BEFORE INSERT ON nexus.event_run FOR EACH ROW SET @a=1", "app", true},
		{"CREATE TRIGGER t BEFORE INSERT ON app.t FOR EACH ROW SET @a=(SELECT MAX(due) FROM nexus.event_run)", "app", false},
		{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO INSERT INTO t SELECT due FROM nexus.event_run", "app", false},
		{"CREATE TABLE t (a INT COMMENT 'as nexus.position')", "app", false},
		{"CREATE VIEW v AS SELECT * FROM mysql.user", "app", true},
		{"CREATE OR REPLACE ALGORITHM=MERGE VIEW v AS SELECT * FROM `mysql` . user", "app", true},
		{"CREATE VIEW app.v AS SELECT * FROM user", "mysql", true},
		{"ALTER VIEW v AS SELECT * FROM mysql.user", "app", true},
		{"CREATE VIEW v AS SELECT ALGORITHM=TEMPTABLE FROM mysql.user", "app", true},
		{"CREATE ALGORITHM=TEMPTABLE VIEW v AS SELECT * FROM mysql.user", "app", false},
		{"CREATE OR REPLACE ALGORITHM = TEMPTABLE DEFINER=a@b VIEW app.v AS SELECT * FROM user", "mysql", false},
		{"CREATE VIEW v AS SELECT mysql FROM t", "app", false},
		{"DROP VIEW v", "mysql", false},
		{"DROP PROCEDURE nexus_call_0123456789abcdef", "app", true},
		{"ALTER PROCEDURE app.`NEXUS_CÁLL_0123456789ábcdef` COMMENT ''", "app", true},
		{"GRANT EXECUTE ON PROCEDURE app/**/.nexus_event_0123456789abcdef TO u", "", true},
		{"CREATE PROCEDURE p() CALL nexus_call_0123456789abcdef()", "app", true},
		{"CREATE PROCEDURE nexus_call_me() SELECT 1", "app", false},
		{"ALTER PROCEDURE app.`nexus_c\x8f\xab\xb1ll_0123456789abcdef` COMMENT ''", "app", true}, // in ujis
		{"CREATE TABLE `" + strings.Repeat("表", 40) + "` (a INT)", "app", false},
		{"CREATE TABLE sync_table (id INT, position INT, applied INT)", "nexus", false},
		{"ALTER TABLE sync_table ADD COLUMN address TEXT", "nexus", false},
	} {
		d := statement.Dialect{MariaDB: true, Version: 101100, AnsiQuotes: strings.Contains(tc.text, `"`)}
		what := statement.Classify(tc.text, d)
		if got := what.Kind == statement.Refused || refuseSchema(what.Verb, statement.Plain(tc.text, d), tc.current) != nil; got != tc.refused {
			t.Errorf("%s in %s: refused %t, want %t", tc.text, tc.current, got, tc.refused)
		}
	}
}
