package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// What a session is told about itself is what one server alone would tell it.
func TestAnswersAsNative(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	native := startAlone(t)
	want, got := oneConn(t, native), oneConn(t, open(t, leader))
	for _, text := range strings.Split(strings.TrimSpace(nativeScript), "\n") {
		for _, statement := range strings.Split(text, "; ") { // statements of a line belong together
			wanted, is := show(t.Context(), want, statement), show(t.Context(), got, statement)
			if wanted != is {
				t.Errorf("%s: %s\nwant %s\n got %s", text, statement, wanted, is)
			}
		}
	}
}

const nativeScript = `
CREATE DATABASE b; USE b; CREATE TABLE w (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(3)); SELECT ROW_COUNT()
INSERT INTO w (v) VALUES ('a'),('b'); SELECT ROW_COUNT(); SELECT ROW_COUNT(); DO 1; SELECT ROW_COUNT(); SET @a=1; SELECT ROW_COUNT()
INSERT INTO w (v) VALUES ('c'); SELECT ROW_COUNT(), LAST_INSERT_ID(), ROW_COUNT()+1 AS n
UPDATE w SET v='z'; SELECT row_count(); UPDATE w SET v='z'; SELECT row_count() FROM DUAL
SELECT SQL_CALC_FOUND_ROWS * FROM w LIMIT 1; SELECT FOUND_ROWS()
SELECT SQL_CALC_FOUND_ROWS v FROM w LIMIT 1; SELECT FOUND_ROWS(), ROW_COUNT()
SET INSERT_ID=50; INSERT INTO w (v) VALUES ('q'); SELECT LAST_INSERT_ID()
SELECT LAST_INSERT_ID(77); UPDATE w SET v='m' WHERE id=1; SELECT LAST_INSERT_ID()
CREATE TABLE IF NOT EXISTS w (id INT); SHOW WARNINGS; SHOW COUNT(*) WARNINGS; SHOW ERRORS
CREATE TABLE IF NOT EXISTS w (id INT); SELECT @@warning_count; SHOW WARNINGS
DROP TABLE IF EXISTS nosuch, nosuch2; SELECT ROW_COUNT()
DROP TABLE nosuch; SHOW WARNINGS; SHOW ERRORS; SHOW COUNT(*) ERRORS
SET sql_mode=''; INSERT INTO w (v) VALUES ('toolong'); SHOW WARNINGS; SELECT @@warning_count
INSERT INTO w (v) VALUES ('toolong'),('x'); SELECT @@warning_count, ROW_COUNT()
INSERT INTO w (id) VALUES (1); SELECT ROW_COUNT(); SHOW WARNINGS
SELECT nosuch; SELECT ROW_COUNT()
PREPARE counted FROM 'SELECT ROW_COUNT(), ROW_COUNT()+1 AS n'; INSERT INTO w (v) VALUES ('p'),('q'); EXECUTE counted; EXECUTE counted; UPDATE w SET v='r' WHERE v='q'; EXECUTE IMMEDIATE 'SELECT ROW_COUNT()'
BEGIN; INSERT INTO w (v) VALUES ('t'); SELECT ROW_COUNT(); COMMIT; SELECT ROW_COUNT()
BEGIN; INSERT INTO w (v) VALUES ('t'); COMMIT; SELECT ROW_COUNT(), LAST_INSERT_ID()
CREATE USER g@'%'; GRANT SELECT ON b.w TO g@'%'; SHOW GRANTS; SHOW GRANTS FOR g@'%'; SHOW GRANTS FOR CURRENT_USER; DROP USER g@'%'
SELECT @@tx_read_only, @@session.tx_read_only, @@local.tx_read_only AS x; SHOW VARIABLES LIKE 'tx_read%'; SHOW SESSION VARIABLES WHERE variable_name='tx_read_only'
SET SESSION TRANSACTION READ ONLY; SELECT @@tx_read_only; SHOW VARIABLES LIKE 'tx_read%'; DELETE FROM w; SET SESSION TRANSACTION READ WRITE; SELECT @@tx_read_only
SET tx_read_only=1; SELECT @@tx_read_only; SET tx_read_only=0; SELECT @@tx_read_only; SELECT @@transaction_read_only
BEGIN; SELECT @@tx_read_only, @@in_transaction; SHOW VARIABLES LIKE 'tx_read_only'; ROLLBACK
SELECT v FROM w WHERE id=1 INTO @v; SELECT ROW_COUNT(), @v
REPLACE INTO w VALUES (1, 'r'); SELECT ROW_COUNT(); DELETE FROM w WHERE id>40; SELECT ROW_COUNT()
INSERT INTO w (v) VALUES ('r') RETURNING v; SELECT ROW_COUNT()
ALTER TABLE w ADD x INT; SELECT ROW_COUNT(); TRUNCATE w; SELECT ROW_COUNT()
INSERT INTO w VALUES (1, 'x', 2); CREATE PROCEDURE p() UPDATE w SET x=x+1; CALL p(); SELECT ROW_COUNT()
CREATE TABLE c1 (n INT AUTO_INCREMENT PRIMARY KEY, x INT, KEY (x)) COMMENT 'made' SELECT x, v, NULL AS nothing FROM w; SELECT ROW_COUNT(); SELECT * FROM c1; SHOW CREATE TABLE c1; INSERT INTO c1 (x) VALUES (9)
CREATE TABLE IF NOT EXISTS c1 AS SELECT 1; SHOW WARNINGS; CREATE TABLE c1 AS SELECT 1; CREATE OR REPLACE TABLE b.c1 AS (SELECT 5 AS five UNION SELECT 6); SELECT * FROM c1
CREATE TABLE c2 (UNIQUE (a)) SELECT 1 AS a UNION ALL SELECT 1; SHOW TABLES; CREATE TABLE c2 SELECT nosuch FROM w; CREATE TABLE nosuch.c2 SELECT 1
CREATE TABLE c3 (a INT AS (b+1) STORED, b INT, d DATETIME DEFAULT '2020-01-01') SELECT 0 AS b; SELECT * FROM c3; CREATE TABLE c4 LIKE c3; SHOW CREATE TABLE c4
CREATE TABLE c5 (id INT AUTO_INCREMENT PRIMARY KEY) SELECT 7 AS y; INSERT INTO c5 (y) VALUES (8); SELECT * FROM c5; BEGIN; INSERT INTO c5 (y) VALUES (9); CREATE TABLE c6 SELECT * FROM c5; ROLLBACK; SELECT * FROM c6
CREATE TEMPORARY TABLE tmp1 (a INT); CREATE TABLE real1 (a INT); DROP TABLE real1, tmp1; SHOW TABLES LIKE '%1'; SELECT * FROM tmp1
CREATE TEMPORARY TABLE tmp1 (a INT); DROP TABLE nosuch, tmp1; SELECT * FROM tmp1; CREATE TEMPORARY TABLE tmp1 (a INT); DROP TABLE IF EXISTS tmp1, nosuch; SHOW WARNINGS; SELECT * FROM tmp1
CREATE TEMPORARY TABLE tmp1 (a INT) ENGINE=MyISAM; REPAIR TABLE tmp1; ANALYZE TABLE tmp1; OPTIMIZE TABLE tmp1; DROP TABLE tmp1
CREATE TABLE lr1 (a INT); CREATE TABLE lr2 (a INT); LOCK TABLES lr1 READ; TRUNCATE lr1; ALTER TABLE b.lr1 ADD x INT; UNLOCK TABLES; DROP TABLE lr1, lr2
SET sql_if_exists=1; DROP TABLE nosuch; SHOW WARNINGS; SET sql_if_exists=0; DROP TABLE nosuch
SET old_mode=''; CREATE TABLE u8 (a TEXT CHARACTER SET utf8); SHOW CREATE TABLE u8; SET old_mode=DEFAULT; DROP TABLE u8
SET sql_notes=0; DROP TABLE IF EXISTS nosuch; SHOW WARNINGS; SET sql_notes=1; DROP TABLE IF EXISTS nosuch; SHOW WARNINGS
SET use_stat_tables=PREFERABLY; ANALYZE TABLE c5; SELECT column_name, min_value FROM mysql.column_stats WHERE db_name='b' AND table_name='c5'; SET use_stat_tables=DEFAULT
SET lc_messages=de_DE; DROP TABLE nosuch; SET lc_messages=DEFAULT
COMMIT CHAIN; BEGIN nothing; SELCT 1; CREATE NOTHING x; BACKUP TABLE c5 TO 'y'; LOCK TABLES c5; SET x; UPDATE; START TRANSACTION READ; SET TRANSACTION LEVEL; DROP; ALTER c5; UNLOCK; ROLLBACK WORK AND; USE
PREPARE p FROM 'SELECT 1 FROM WHERE'; EXECUTE IMMEDIATE 'COMMIT CHAIN'; PREPARE p FROM 'COMMIT 5'; FLUSH NOTHING; KILL; SHOW; GRANT; SELECT 1 /*! , ' */; SELECT 'open
ANALYZE TABLE c5; OPTIMIZE TABLE c5, nosuch; REPAIR TABLE c5; CHECK TABLE c5; CHECKSUM TABLE c4; ANALYZE TABLE c5 PERSISTENT FOR ALL
DO 1; DO nosuch(); HELP 'nosuch'; SELECT * FROM c5 WHERE id=7 FOR UPDATE; SELECT * FROM c5 WHERE id=7 LOCK IN SHARE MODE; SELECT v FROM w FOR UPDATE NOWAIT; SELECT v FROM w FOR UPDATE SKIP LOCKED
BEGIN; SELECT * FROM c5 WHERE id=1 FOR UPDATE; UPDATE c5 SET y=70 WHERE id=1; COMMIT; SELECT * FROM c5
PREPARE p FROM 'INSERT INTO c5 (y) VALUES (?)'; SET @y=77; EXECUTE p USING @y; EXECUTE p USING @y; SELECT COUNT(*) FROM c5 WHERE y=77; EXECUTE p; DEALLOCATE PREPARE p; EXECUTE p
SET @q='DELETE FROM c5 WHERE y=77'; PREPARE p FROM @q; EXECUTE p; SELECT ROW_COUNT(); DROP PREPARE p; EXECUTE IMMEDIATE 'UPDATE c5 SET y=1'
PREPARE p FROM 'CREATE TABLE c8 (a INT)'; EXECUTE p; EXECUTE p; SHOW TABLES LIKE 'c8'; PREPARE p FROM 'CREATE TABLE c9 AS SELECT 1 AS one'; EXECUTE p; EXECUTE p; SELECT * FROM c9
EXECUTE IMMEDIATE 'CREATE TABLE c7 (a INT)'; SHOW TABLES LIKE 'c7'; EXECUTE IMMEDIATE 'DROP TABLE c7'; SHOW TABLES LIKE 'c7'
EXECUTE IMMEDIATE CONCAT('SELECT ', 1+1); PREPARE p FROM CONCAT('SEL','ECT 3'); EXECUTE p; SET @s='a\'\\'; EXECUTE IMMEDIATE CONCAT('SELECT ', QUOTE(@s)); EXECUTE IMMEDIATE (SELECT 'SELECT 1'); EXECUTE IMMEDIATE NULL
SET sql_mode=CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES'); EXECUTE IMMEDIATE CONCAT('SELECT ', '''a\''', ', 1'); SET sql_mode=DEFAULT; EXECUTE IMMEDIATE CONCAT('CREATE TABLE ', 'imm (a INT)'); SHOW TABLES LIKE 'imm'; PREPARE p FROM CONCAT('DROP TABLE ', 'imm'); EXECUTE p; SHOW TABLES LIKE 'imm'
KILL 10+9999999; KILL QUERY 9999999; KILL QUERY ID 9999999
SELEC 1; SELECT 'x; SELECT 1 /* x; FOO bar baz this is a long text that the server would cut somewhere behind its eightieth character; @x; 1
CREATE DATABASE b2; SELECT ROW_COUNT(); CREATE TABLE b2.x (a INT); DROP DATABASE b2; SELECT ROW_COUNT()
CREATE TABLE blk (a INT PRIMARY KEY); BEGIN NOT ATOMIC INSERT INTO blk VALUES (1);INSERT INTO blk VALUES (2);SELECT COUNT(*) FROM blk;END; SELECT * FROM blk; FOR i IN 5..7 DO INSERT INTO blk VALUES (i);END FOR; SELECT * FROM blk; IF (SELECT COUNT(*) FROM blk) > 2 THEN DELETE FROM blk WHERE a=5;END IF; SELECT * FROM blk; lbl: WHILE @w IS NULL DO SET @w=1;END WHILE lbl; CASE WHEN 1 THEN SELECT 9;END CASE
BEGIN; BEGIN NOT ATOMIC INSERT INTO blk VALUES (8);END; ROLLBACK; SELECT COUNT(*) FROM blk WHERE a=8; BEGIN NOT ATOMIC DECLARE x INT DEFAULT 3;UPDATE blk SET a=a+100 WHERE a=x OR a=1;END; SELECT * FROM blk; SET @w=0; REPEAT SET @w=@w+1;UNTIL @w>3 END REPEAT; SELECT @w
FLUSH TABLES; FLUSH TABLES blk; FLUSH LOCAL HOSTS, STATUS; FLUSH ERROR LOGS; LOCK TABLES blk READ; SELECT COUNT(*) FROM blk; UNLOCK TABLES; LOCK TABLES blk WRITE; INSERT INTO blk VALUES (60); UNLOCK TABLES; LOCK TABLES nosuch READ; LOCK TABLES nosuch WRITE; UNLOCK TABLES
SET STATEMENT max_statement_time=10 FOR SELECT 1; SET STATEMENT sql_mode='' FOR INSERT INTO w (v) VALUES ('toolong'); SET STATEMENT sort_buffer_size=100000 FOR EXECUTE IMMEDIATE 'SELECT 2'; PREPARE q FROM 'SELECT 4'; SET STATEMENT max_statement_time=10 FOR EXECUTE q
SELECT GET_LOCK('n', 1), IS_FREE_LOCK('n'), IS_USED_LOCK('n')=CONNECTION_ID(), RELEASE_LOCK('n'), RELEASE_LOCK('n'), RELEASE_ALL_LOCKS(); DO GET_LOCK('m', 0); SELECT RELEASE_ALL_LOCKS()
COMMIT AND CHAIN RELEASE; USE; SET autocommit=DEFAULT; SELECT @@autocommit; SET @ac=0; SET autocommit=@ac; SELECT @@autocommit; SET @@autocommit=@@global.autocommit; SELECT @@autocommit; SET sql_big_selects=0, max_join_size=1; CREATE TABLE small (a INT); SET sql_big_selects=1, max_join_size=DEFAULT; SET GLOBAL read_only=0; SELECT 1 /*! + 1; */
CREATE DATABASE betäubung; USE betäubung; CREATE TABLE tä (ö INT); SHOW TABLES; SET NAMES latin1; CREATE TABLE asc1 (a INT); SET NAMES utf8mb4; SHOW TABLES; DROP DATABASE betäubung; USE b
SET sql_select_limit=0; CREATE TABLE limited (a INT); DROP TABLE limited; SET sql_mode=@@sql_mode; SET GLOBAL long_query_time=10; BEGIN; INSERT INTO w (v) VALUES ('l'); COMMIT; SET sql_select_limit=DEFAULT; SELECT COUNT(*) FROM w WHERE v='l'
FLUSH STATUS; FLUSH PRIVILEGES; SHOW GLOBAL VARIABLES LIKE 'tx_read_only'; SET SESSION sort_buffer_size=300000; SELECT @@sort_buffer_size
CREATE TEMPORARY TABLE w (a INT); INSERT INTO w VALUES (1),(2); SELECT * FROM w; TRUNCATE w; SELECT * FROM w; ALTER TABLE w ADD b INT; INSERT INTO b.w VALUES (5, 6); SELECT * FROM w; TRUNCATE TABLE nosuch; DROP TABLE b.w; SELECT COUNT(*)>0 FROM w
CREATE TEMPORARY TABLE tx (a INT); BEGIN; INSERT INTO tx VALUES (1); SELECT * FROM tx; DROP TABLE IF EXISTS tx; SELECT * FROM tx; COMMIT; DROP TABLE IF EXISTS tx
CREATE TEMPORARY TABLE tx LIKE w; ALTER TABLE tx DROP COLUMN nosuch; SELECT ROW_COUNT(); BEGIN; INSERT INTO w VALUES (90, 'k', 1); ALTER TABLE tx ADD z INT; ROLLBACK; SELECT COUNT(*) FROM w WHERE id=90; DROP TEMPORARY TABLE tx; DROP TABLE tx
SET timestamp=1000000000; CREATE TABLE ts (a INT); INSERT INTO ts VALUES (1),(2); ALTER TABLE ts ADD c DATETIME DEFAULT NOW(); SELECT * FROM ts; SET timestamp=DEFAULT; ALTER TABLE ts ADD d DATETIME DEFAULT NOW(); SELECT d>'2020-01-01' FROM ts
SET auto_increment_increment=7, auto_increment_offset=3; ALTER TABLE ts ADD id INT AUTO_INCREMENT PRIMARY KEY; SELECT id FROM ts; SET auto_increment_increment=DEFAULT, auto_increment_offset=DEFAULT
SET div_precision_increment=10; CREATE TABLE dv (a INT); INSERT INTO dv VALUES (1),(2); ALTER TABLE dv ADD b DECIMAL(20,12) AS (a/7) STORED; SELECT * FROM dv; SET div_precision_increment=DEFAULT
SET old_mode=''; CREATE TABLE om (a VARCHAR(3)) CHARSET utf8; SHOW CREATE TABLE om; SET old_mode='UTF8_IS_UTF8MB3'; CREATE TABLE om2 (a VARCHAR(3)) CHARSET utf8; SHOW CREATE TABLE om2; SET old_mode=DEFAULT
SET foreign_key_checks=0; CREATE TABLE child (a INT, FOREIGN KEY (a) REFERENCES later (a)); SET foreign_key_checks=1; CREATE TABLE child2 (a INT, FOREIGN KEY (a) REFERENCES later2 (a))
CREATE TEMPORARY TABLE tt AS SELECT * FROM w; SELECT ROW_COUNT(), (SELECT COUNT(*) FROM tt); DROP TEMPORARY TABLE tt
`

func oneConn(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(within(t, 20*time.Second))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// show is what a statement answers, with the names of the columns, or its error.
func show(ctx context.Context, conn *sql.Conn, text string) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return shown(conn.QueryContext(ctx, text))
}

// shown is the answer with which rows or err came.
func shown(rows *sql.Rows, err error) string {
	if err != nil {
		return told(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return told(err)
	}
	out := fmt.Sprint(columns)
	for rows.Next() {
		values, pointers := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return told(err)
		}
		out += fmt.Sprint(values)
	}
	if err := rows.Err(); err != nil {
		return told(err)
	}
	return out
}

func told(err error) string {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s %s", e.Number, e.SQLState, e.Message)
	}
	return err.Error()
}
