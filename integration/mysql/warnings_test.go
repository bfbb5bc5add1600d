package mysql

import "testing"

// What a procedure that commits has warned of behind its last commit is told behind its CALL, as on a plain server.
func TestWarningsOfProcedures(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	got, want := oneConn(t, open(t, leader)), oneConn(t, startAlone(t))
	for _, text := range []string{
		"CREATE DATABASE app", "USE app", "CREATE TABLE w (a TINYINT)", "CREATE USER other@'%'",
		"CREATE PROCEDURE warns() BEGIN SET sql_mode=''; INSERT INTO w VALUES (1); COMMIT; INSERT INTO w VALUES (1000); END",
		"CREATE PROCEDURE texts() BEGIN SET sql_mode=''; EXECUTE IMMEDIATE 'INSERT INTO w VALUES (1000)'; END",
		"CREATE PROCEDURE fails() BEGIN COMMIT; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='no'; END", "CREATE DEFINER=other@'%' PROCEDURE others() BEGIN COMMIT; SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT='mind'; END", "GRANT INSERT, EXECUTE ON app.* TO other@'%'",
		"CREATE PROCEDURE plain() BEGIN SET sql_mode=''; INSERT INTO w VALUES (1000); END",
		"CALL plain()", "SHOW WARNINGS", "CALL warns()", "SHOW WARNINGS", "CALL warns()", "SHOW COUNT(*) WARNINGS", "CALL warns()", "SELECT @@warning_count", "CALL texts()", "SHOW WARNINGS",
		"CALL fails()", "GET DIAGNOSTICS CONDITION 1 @m=MESSAGE_TEXT", "SELECT @m", "CALL others()", "SHOW WARNINGS",
	} {
		if wanted, is := show(t.Context(), want, text), show(t.Context(), got, text); wanted != is {
			t.Errorf("%s\nwant %s\n got %s", text, wanted, is)
		}
	}
}
