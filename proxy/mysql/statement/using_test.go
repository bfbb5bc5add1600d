package statement

import "testing"

func TestCallUsing(t *testing.T) {
	d := Dialect{MariaDB: true, Version: 101119}
	for _, tc := range []struct{ prepared, using, want string }{
		{"CALL p(?, 2, ?)", "USING @a, 1+f(2,3)", "CALL p(@a, 2, (1+f(2,3)))"}, {"CALL p()", "", "CALL p()"}, {"CALL p('?', ?)", "USING 'a,b'", "CALL p('?', ('a,b'))"},
		{"CALL p(?)", "", ""}, {"CALL p()", "USING @a", ""}, {"CALL p(?)", "USING", ""}, {"CALL p(?)", "USING DEFAULT", ""}, {"CALL p(?)", "USING @a,", ""}, {"CALL p(/*! ? */)", "USING @a", ""},
		{"CALL p(?)", "USING 'a", ""}, {"CALL p(?)", "USING @a)", ""}, {"CALL p(?)", "USING (@a", ""},
	} {
		got, ok := CallUsing(tc.prepared, tc.using, d)
		if ok != (tc.want != "") || ok && got != tc.want {
			t.Errorf("%s %s: %q, %t", tc.prepared, tc.using, got, ok)
		}
	}
}

func TestHasSteps(t *testing.T) {
	d := Dialect{MariaDB: true, Version: 101119}
	for text, want := range map[string]bool{
		"BEGIN NOT ATOMIC ROLLBACK; END": true, "BEGIN NOT ATOMIC INSERT INTO t VALUES (1); COMMIT AND CHAIN; END": true, "IF a THEN START TRANSACTION READ ONLY; END IF": true,
		"BEGIN NOT ATOMIC SET autocommit=0; END": true, "SET STATEMENT a=1 FOR BEGIN NOT ATOMIC DROP TABLE t; END": true, "BEGIN NOT ATOMIC CALL p(); END": false,
		"BEGIN NOT ATOMIC ROLLBACK TO s; SAVEPOINT x; END": false, "FOR i IN 1..2 DO INSERT INTO t VALUES (i); END FOR": false,
	} {
		if got := HasSteps(text, d); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	if names := ReadCalled("CALL `A`.b(c, (SELECT d)); CALL e", d); len(names) != 3 || !names.Has("a") || !names.Has("b") || !names.Has("e") {
		t.Errorf("called are %v", names)
	}
}
