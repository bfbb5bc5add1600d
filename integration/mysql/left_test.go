package mysql

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"
)

// What a statement leaves behind (counts of rows, ids, warnings, conditions) is what one server alone would tell, in both protocols.
func TestWhatStatementsLeaveBehind(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	native := startAlone(t)
	db := open(t, leader)
	for _, protocol := range []struct {
		name string
		show func(context.Context, *sql.Conn, string) string
	}{{"text", show}, {"binary", showPrepared}} {
		t.Run(protocol.name, func(t *testing.T) {
			want, got := oneConn(t, native), oneConn(t, db)
			for _, conn := range []*sql.Conn{want, got} {
				for _, text := range []string{"DROP DATABASE IF EXISTS b", "CREATE DATABASE b", "USE b"} {
					show(t.Context(), conn, text)
				}
			}
			for _, made := range strings.Split(strings.TrimSpace(leavingTables), "\n") {
				show(t.Context(), want, made)
				if is := show(t.Context(), got, made); is != "[]" {
					t.Fatalf("%s: %s", made, is)
				}
			}
			for _, text := range strings.Split(strings.TrimSpace(leaving+strings.TrimLeft(leavingSchema, "\n")), "\n") {
				ways := left
				if !strings.Contains(leavingSchema, text) {
					ways += leftOfRows
				}
				for _, asking := range strings.Split(strings.TrimSpace(ways), "\n") {
					for _, statement := range strings.Split(text+"; "+asking, "; ") {
						wanted, is := protocol.show(t.Context(), want, statement), protocol.show(t.Context(), got, statement)
						if wanted != is {
							t.Errorf("%s; %s: %s\nwant %s\n got %s", text, asking, statement, wanted, is)
						}
					}
				}
			}
		})
	}
}

const leavingTables = `
CREATE TABLE w (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(3))
CREATE TABLE few (a INT PRIMARY KEY)
CREATE FUNCTION writes(x INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO w (v) VALUES ('f'); RETURN x; END
CREATE PROCEDURE p() BEGIN UPDATE w SET v='p' WHERE id<3; SELECT 1; END
`

// leaving are statements of which left asks what they have left behind.
const leaving = `
INSERT INTO w (v) VALUES ('a'),('b')
INSERT IGNORE INTO w (id, v) VALUES (1, 'a'), (1, 'toolong')
INSERT INTO w (id, v) VALUES (1, 'a')
INSERT INTO w (id, v) VALUES (1, 'a') ON DUPLICATE KEY UPDATE v='d'
REPLACE INTO few VALUES (1), (2), (2)
UPDATE w SET v='u' WHERE id<4
UPDATE w SET v='u' WHERE id<4
DELETE FROM few
SET sql_mode=''; INSERT INTO w (v) VALUES ('toolong'); SET sql_mode=DEFAULT
SET sql_mode=''; UPDATE w SET v='toolong' WHERE id=2
SET sql_mode=DEFAULT; INSERT INTO w (v) VALUES ('toolong')
INSERT INTO w (v) VALUES ('r') RETURNING v
SELECT writes(3)
DO writes(3)
SELECT * FROM w WHERE id<3
SELECT v FROM w WHERE id=1 INTO @v
SELECT 1/0
CALL p()
BEGIN; INSERT INTO w (v) VALUES ('t'); COMMIT
BEGIN; UPDATE w SET v='x' WHERE id=1
ROLLBACK
SELECT nosuch
SET @a=1
BEGIN NOT ATOMIC INSERT INTO w (v) VALUES ('n');UPDATE w SET v='m' WHERE id<3;END
SELECT SQL_CALC_FOUND_ROWS id FROM w WHERE id<4 LIMIT 1
INSERT INTO few SELECT id FROM w WHERE id<5
`

const leavingSchema = `
CREATE TABLE IF NOT EXISTS w (id INT)
CREATE TABLE made AS SELECT id FROM w WHERE id<3
DROP TABLE IF EXISTS made, nosuch
DROP TABLE nosuch
ALTER TABLE w ADD KEY (v)
`

// left are ways to ask. Each comes first behind the statement once.
const left = `
SELECT ROW_COUNT(); SELECT LAST_INSERT_ID(); SELECT FOUND_ROWS()
SELECT ROW_COUNT(), FOUND_ROWS()
SHOW WARNINGS; SHOW COUNT(*) WARNINGS; SELECT @@warning_count, @@error_count
SHOW ERRORS; SHOW COUNT(*) ERRORS; SELECT @@error_count
SELECT @@warning_count, @@error_count; SHOW WARNINGS
SET @r=ROW_COUNT(); SELECT @r
SELECT LAST_INSERT_ID(), ROW_COUNT()+1 AS n
`

// leftOfRows are ways to ask that tell nothing of schema changes.
const leftOfRows = `
GET DIAGNOSTICS @n=NUMBER; SELECT @n
GET DIAGNOSTICS CONDITION 1 @e=MYSQL_ERRNO, @s=RETURNED_SQLSTATE; SELECT @e, @s
`

// showPrepared is show by a statement that the protocol prepares. What it does not prepare goes as a text.
func showPrepared(ctx context.Context, conn *sql.Conn, text string) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	statement, err := conn.PrepareContext(ctx, text)
	if err != nil {
		if code(err) == 1295 || code(err) == 1235 {
			return show(ctx, conn, text)
		}
		return told(err)
	}
	defer statement.Close()
	rows, err := statement.QueryContext(ctx)
	return shown(rows, err)
}
