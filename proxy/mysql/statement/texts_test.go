package statement

import "testing"

func TestExecutesTexts(t *testing.T) {
	for body, want := range map[string]bool{
		"BEGIN PREPARE s FROM @a; END": true, "EXECUTE s": true, "IF 1 THEN EXECUTE IMMEDIATE 'SELECT 1'; END IF": true, "BEGIN SET STATEMENT max_statement_time=1 FOR EXECUTE `s`; END": true,
		"/*!50000 EXECUTE s*/": true, "BEGIN/**/EXECUTE/**/IMMEDIATE CONCAT('a'); END": true,
		"BEGIN DECLARE deallocate CONDITION FOR SQLSTATE '45000'; DECLARE EXIT HANDLER FOR deallocate PREPARE s FROM @a; SIGNAL deallocate; END": true,
		"SELECT 'EXECUTE s', `execute`, t.execute, execute FROM t":                                                                               false, "BEGIN DEALLOCATE PREPARE s; DROP PREPARE s; END": false, "BEGIN /* EXECUTE s */ SELECT 1; -- PREPARE s FROM @a\nEND": false,
	} {
		if got := ExecutesTexts(body, mariadb); got != want {
			t.Errorf("%s: got %t", body, got)
		}
	}
}

func TestReadSource(t *testing.T) {
	for _, tc := range []struct{ body, source, using string }{
		{"PREPARE s FROM 'SELECT ?'", "'SELECT ?'", ""}, {"PREPARE s FROM CONCAT(@a, b)", "CONCAT(@a, b)", ""}, {"EXECUTE s USING @a", "", ""},
		{"EXECUTE IMMEDIATE (a) USING 1, @b", "(a)", "USING 1, @b"}, {"EXECUTE IMMEDIATE 'SELECT 1'", "'SELECT 1'", ""},
	} {
		p, reason := ReadProgram(tc.body, mariadb)
		if len(p.Steps) != 1 || reason != "" {
			t.Fatalf("%s: %d steps, %s", tc.body, len(p.Steps), reason)
		}
		if s := p.Steps[0]; s.Source != tc.source || s.Using != tc.using || s.Text != tc.body {
			t.Errorf("%s: %q %q", tc.body, s.Source, s.Using)
		}
	}
}

func TestReadNames(t *testing.T) {
	names := ReadNames("CALL App.`P ``1 `('raw', \"raw\", x.y) /* no */ /*!50000 yes */", mariadb)
	for name, want := range map[string]bool{"app": true, "P `1": true, "X": true, "y": true, "yes": true, "raw": false, "no": false} {
		if got := names.Has(name); got != want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if !ReadNames("CALL ráw()", mariadb).Has("raw") {
		t.Error("the server looks for names without accents")
	}
	for name, want := range map[string]bool{"räw": true, "raẃ": true, "räws": false, "röws": false, "wär": false} {
		if got := ReadNames("CALL raw()", mariadb).Has(name); got != want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if !ReadNames("CALL 1raw()", mariadb).Has("1raw") {
		t.Error("a name may begin with a digit")
	}
}
