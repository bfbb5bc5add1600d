package mysql

import (
	"testing"
	"time"
)

// What a session has set reaches the servers with its schema changes. None of it may be such that a server does not take it: the
// change is in the log then.
func TestSettingsOfSchemaChanges(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	conn := oneConn(t, open(t, leader))
	ctx := within(t, 60*time.Second)
	for _, tc := range []struct {
		text string
		code uint16
	}{
		{"CREATE DATABASE app", 0},
		{"USE app", 0},
		{"SET character_set_results=filename", 0}, {"CREATE TABLE c (id INT PRIMARY KEY)", 0},
		{"SET character_set_results=utf16", 0}, {"CREATE TABLE e (id INT PRIMARY KEY)", 0},
		{"SET character_set_results=NULL, old_mode='', lc_messages=de_DE, use_stat_tables=COMPLEMENTARY_FOR_QUERIES, histogram_type=SINGLE_PREC_HB", 0},
		{"SET time_zone='-03:30', sql_mode='ANSI,TRADITIONAL', auto_increment_increment=5, auto_increment_offset=2, sql_notes=0", 0},
		{"CREATE TABLE a (v INT)", 0}, {"INSERT INTO a VALUES (1), (2)", 0}, {"ALTER TABLE a ADD id INT AUTO_INCREMENT PRIMARY KEY", 0},
		{"SET GLOBAL event_scheduler=DISABLED", 1231}, {"SET GLOBAL event_scheduler=OFF", 0}, {"SET GLOBAL event_scheduler=DEFAULT, max_allowed_packet=1048576", 0},
		{"SET GLOBAL log_bin_trust_function_creators=1", 0}, {"SET GLOBAL log_bin_trust_function_creators=0", 1235},
		{"SET NAMES cp1251", 0}, {"CREATE TABLE b (id INT PRIMARY KEY)", 0},
		{"SET NAMES binary", 0}, {"CREATE TABLE d (id INT PRIMARY KEY)", 0},
	} {
		_, err := conn.ExecContext(ctx, tc.text)
		if code(err) != tc.code {
			t.Errorf("%s: %v, want %d", tc.text, err, tc.code)
		}
	}
	if got := mustQuery(t, conn, "SELECT id FROM a ORDER BY id"); got != "7;12" {
		t.Errorf("ids %q, which a server alone does not give", got)
	}
	awaitEqual(t, c)
}
