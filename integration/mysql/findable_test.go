package mysql

import (
	"strings"
	"testing"
)

// Rows of a table with a SPATIAL index and no key of another kind are not found by the servers that are to change them: the leader changes none.
// With a key they are.
func TestSpatialIndexes(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.bare (g GEOMETRY NOT NULL, SPATIAL INDEX (g))", "CREATE TABLE app.some (a INT, g GEOMETRY NOT NULL, SPATIAL INDEX (g), UNIQUE (a))",
		"CREATE TABLE app.kept (id INT PRIMARY KEY AUTO_INCREMENT, g GEOMETRY NOT NULL, SPATIAL INDEX (g))", "CREATE TABLE app.free (g GEOMETRY NOT NULL)")
	for _, table := range []string{"bare", "some", "kept", "free"} {
		execute(t, db, "INSERT INTO app."+table+" (g) VALUES (POINT(1,1)), (POINT(1.5,1.5)), (ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))')), (POINT(5,5))")
		for _, text := range []string{"DELETE FROM app." + table + " WHERE MBRWithin(g, ST_GeomFromText('POLYGON((1 1,1 3,3 3,3 1,1 1))'))", "UPDATE app." + table + " SET g=POINT(7,7) WHERE g=POINT(5,5)"} {
			_, err := db.Exec(text)
			if unfound := table == "bare" || table == "some"; unfound && (code(err) != 1235 || !strings.Contains(err.Error(), "give it a primary key")) || !unfound && err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	execute(t, db, "CREATE TABLE app.given (id INT AUTO_INCREMENT PRIMARY KEY) SELECT g FROM app.bare", "ALTER TABLE app.given ADD SPATIAL INDEX (g)", "DELETE FROM app.given WHERE id<3", "TRUNCATE app.bare")
	awaitEqual(t, c)
	if got := mustQuery(t, db, "SELECT (SELECT COUNT(*) FROM app.bare), (SELECT COUNT(*) FROM app.kept), (SELECT COUNT(*) FROM app.given)"); got != "0,3,2" {
		t.Errorf("got %s", got)
	}
}

// Rows of a table without any index are looked for one by one by the servers that are to change them: what would keep them busy for hours is refused.
func TestManyRowsWithoutIndex(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.bare (a INT, b INT)", "INSERT INTO app.bare SELECT seq, 0 FROM app.seq_1_to_200000", "UPDATE app.bare SET b=1 WHERE a<20")
	for _, text := range []string{"UPDATE app.bare SET b=2", "DELETE FROM app.bare"} {
		if _, err := db.Exec(text); code(err) != 1235 || !strings.Contains(err.Error(), "app.bare has no index") || !strings.Contains(err.Error(), "give it a primary key") {
			t.Errorf("%s: %v", text, err)
		}
	}
	execute(t, db, "UPDATE app.bare SET b=3 WHERE a<5", "ALTER TABLE app.bare ADD INDEX (a)", "UPDATE app.bare SET b=4 WHERE a<50000", "DELETE FROM app.bare WHERE a<1000")
	awaitEqual(t, c)
	if got := mustQuery(t, db, "SELECT SUM(b), COUNT(*) FROM app.bare"); got != "196000,199001" {
		t.Errorf("got %s", got)
	}
}
