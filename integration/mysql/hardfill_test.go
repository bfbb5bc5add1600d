package mysql

import (
	"strings"
	"testing"
	"time"
)

// Tables of all kinds that CREATE TABLE ... SELECT fills are what they are on a server without Nexus: definitions, rows, counts and warnings.
func TestHardFillings(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	want, got := oneConn(t, startAlone(t)), oneConn(t, open(t, leader))
	for _, text := range strings.Split("CREATE DATABASE app CHARACTER SET utf8mb4; USE app; CREATE TABLE src (id INT PRIMARY KEY, v VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci, d DECIMAL(10,3), e ENUM('a','b'), j JSON, t TIMESTAMP NULL, g POINT, u UUID);"+
		" INSERT INTO src VALUES (1,'eins',1.5,'a','{\"x\": 1}','2020-01-02 03:04:05',POINT(1,2),'123e4567-e89b-12d3-a456-426655440000'),(2,'zwei',NULL,'b',NULL,NULL,NULL,NULL),(3,'drei',-7.25,'a','[]','2021-01-01 00:00:00',POINT(0,0),NULL);"+
		" CREATE SEQUENCE seq START 100 INCREMENT 7", ";") {
		for _, conn := range []queryer{want, got} {
			mustQuery(t, conn, text)
		}
	}
	for _, text := range strings.Split(strings.TrimSpace(hardFillings), "\n") {
		for _, step := range append(strings.Split(text, ";; "), "SHOW CREATE TABLE f", "SELECT * FROM f ORDER BY 1", "SELECT table_name FROM information_schema.tables WHERE table_schema='app' ORDER BY 1",
			"SELECT auto_increment, table_comment, create_options FROM information_schema.tables WHERE table_schema='app' AND table_name='f'", "DROP TABLE IF EXISTS f2, f", "SET SESSION sql_mode=DEFAULT, auto_increment_increment=1, auto_increment_offset=1") {
			wanted, is := show(t.Context(), want, step), show(t.Context(), got, step)
			if wanted != is {
				t.Errorf("%s: %s\nwant %s\n got %s", text, step, wanted, is)
			}
			if strings.HasPrefix(step, "CREATE") {
				if wanted, is := show(t.Context(), want, "SELECT ROW_COUNT()"), show(t.Context(), got, "SELECT ROW_COUNT()"); wanted != is {
					t.Errorf("%s: %s: rows\nwant %s\n got %s", text, step, wanted, is)
				}
				if wanted, is := show(t.Context(), want, "SHOW WARNINGS"), show(t.Context(), got, "SHOW WARNINGS"); wanted != is {
					t.Errorf("%s: %s: warnings\nwant %s\n got %s", text, step, wanted, is)
				}
			}
		}
	}
	for _, text := range []string{"CREATE TABLE f (n BIGINT DEFAULT NEXTVAL(seq)) SELECT id FROM src", "CREATE TABLE f (n BIGINT DEFAULT (NEXT VALUE FOR seq)) SELECT id FROM src", "BEGIN NOT ATOMIC CREATE TABLE f (n BIGINT DEFAULT NEXTVAL(seq)) SELECT id FROM src; END"} {
		if _, err := got.ExecContext(within(t, 40*time.Second), text); code(err) != 1235 && code(err) != 1399 { // the server would crash
			t.Errorf("%s: %v", text, err)
		}
	}
	awaitEqual(t, c)
}

const hardFillings = `
CREATE TABLE f (a INT CHECK (a>0), b INT AS (a*2) VIRTUAL, c INT GENERATED ALWAYS AS (a+1) STORED, CONSTRAINT big CHECK (a<100)) SELECT id AS a FROM src
CREATE TABLE f (a INT CHECK (a>1)) SELECT id AS a FROM src
CREATE TABLE f (a INT CHECK (a>1)) IGNORE SELECT id AS a FROM src
CREATE TABLE f (n BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT=50 COMMENT='numbers' SELECT v FROM src
SET SESSION auto_increment_increment=10, auto_increment_offset=3;; CREATE TABLE f (n INT AUTO_INCREMENT PRIMARY KEY) SELECT v FROM src;; INSERT INTO f (v) VALUES ('next')
CREATE TABLE f (n INT AUTO_INCREMENT PRIMARY KEY) SELECT 0 AS n, v FROM src
SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO';; CREATE TABLE f (n INT AUTO_INCREMENT PRIMARY KEY) SELECT id-1 AS n, v FROM src
CREATE TABLE f CHARACTER SET utf8mb4 COLLATE utf8mb4_bin SELECT v, CONVERT(v USING utf8mb4) AS w, _utf8mb4'ä' AS l, HEX(v) AS h FROM src
CREATE TABLE f (v VARCHAR(2) CHARACTER SET ascii) SELECT v FROM src
SET SESSION sql_mode='';; CREATE TABLE f (v VARCHAR(2) CHARACTER SET ascii) SELECT v FROM src
CREATE TABLE f ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8 STATS_PERSISTENT=1 SELECT * FROM src
CREATE TABLE f (a INT NOT NULL, PRIMARY KEY (a)) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (2), PARTITION p1 VALUES LESS THAN MAXVALUE) SELECT id AS a, e FROM src
CREATE TABLE f PARTITION BY LIST (id) (PARTITION p0 VALUES IN (1,2)) SELECT id FROM src
CREATE TABLE f (a INT NOT NULL, n INT AUTO_INCREMENT, PRIMARY KEY (n, a), c INT AS (a*2) STORED) PARTITION BY KEY (a) PARTITIONS 3 SELECT id AS a FROM src
CREATE TABLE f (k INT DEFAULT (1+2), ts TIMESTAMP DEFAULT '2020-01-01', b BLOB DEFAULT ('x')) SELECT id FROM src;; INSERT INTO f (id) VALUES (4)
CREATE TABLE f SELECT NEXTVAL(seq) AS n, id FROM src
CREATE TABLE f (UNIQUE (e)) IGNORE SELECT e, id FROM src ORDER BY id
CREATE TABLE f (FULLTEXT (v)) SELECT id, v FROM src
CREATE TABLE f (SPATIAL KEY (p)) SELECT IFNULL(g, POINT(9,9)) AS p, id FROM src
CREATE TABLE f (id INT PRIMARY KEY, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, x TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, x)) WITH SYSTEM VERSIONING SELECT id FROM src;; SELECT COUNT(*) FROM f FOR SYSTEM_TIME ALL;; DROP TABLE f
CREATE TABLE f (a DATE, b DATE, PERIOD FOR p (a, b)) SELECT DATE '2020-01-01' AS a, DATE '2021-01-01' AS b
CREATE TABLE f (v VARCHAR(20) INVISIBLE DEFAULT 'inv', id INT) SELECT id FROM src
CREATE TABLE f WITH r AS (SELECT id FROM src WHERE id<3) SELECT id+0 AS id, ROW_NUMBER() OVER (ORDER BY id DESC) AS rn FROM r
CREATE TABLE f (x INT) VALUES (1,2),(3,4)
CREATE TABLE f AS TABLE src
CREATE TABLE f SELECT id, v FROM src UNION SELECT 9, 'neun' UNION ALL SELECT 9, 'neun' ORDER BY 1 DESC
CREATE TABLE f SELECT MAX(d) AS m, AVG(d) AS a, SUM(id) AS s, GROUP_CONCAT(v ORDER BY id) AS g, COUNT(*) AS c, NULL AS n, 1.0/3 AS q, 1e0 AS x, b'101' AS bits, x'ff' AS bin, NOW()>0 AS y, TIME'10:00:00' AS ti, JSON_ARRAY(1) AS js FROM src
CREATE TABLE f SELECT id AS a, v AS A2, id+1 AS ` + "`select`" + ` FROM src;; CREATE TABLE f2 LIKE f;; SHOW CREATE TABLE f2
CREATE TABLE f (a INT) SELECT id AS a, id AS a FROM src
CREATE TABLE f SELECT 'abc' + 1 AS n, CAST('x' AS DATE) AS d, 1/0 AS z
CREATE TABLE f (a INT);; CREATE TABLE IF NOT EXISTS f SELECT 5 AS a;; CREATE OR REPLACE TABLE f SELECT 6 AS b
CREATE TABLE f (a INT PRIMARY KEY);; CREATE TABLE f2 (a INT, FOREIGN KEY (a) REFERENCES f (a));; CREATE OR REPLACE TABLE f SELECT 1 AS a;; SHOW CREATE TABLE f;; SET foreign_key_checks=0;; CREATE OR REPLACE TABLE f (a INT PRIMARY KEY) SELECT 1 AS a;; SHOW CREATE TABLE f2;; SET foreign_key_checks=1;; INSERT INTO f2 VALUES (1);; INSERT INTO f2 VALUES (2)
CREATE TABLE f (a INT);; CREATE TRIGGER tr BEFORE INSERT ON f FOR EACH ROW SET NEW.a=NEW.a+1;; CREATE OR REPLACE TABLE f SELECT 1 AS a;; SHOW TRIGGERS LIKE 'f';; INSERT INTO f VALUES (5)
CREATE TABLE f (a INT);; CREATE VIEW vf AS SELECT * FROM f;; CREATE OR REPLACE TABLE f SELECT 2 AS a, 3 AS b;; SELECT * FROM vf;; CREATE OR REPLACE TABLE vf SELECT 1;; DROP VIEW vf
CREATE SEQUENCE sq;; CREATE OR REPLACE TABLE sq SELECT 1 AS a;; SELECT * FROM sq;; DROP TABLE sq
CREATE TABLE f (a INT);; LOCK TABLES f WRITE, src READ;; CREATE OR REPLACE TABLE f SELECT id FROM src;; INSERT INTO f VALUES (9);; UNLOCK TABLES
CREATE TEMPORARY TABLE f (tmp INT);; CREATE OR REPLACE TABLE f SELECT 1 AS a;; DROP TEMPORARY TABLE f
`
