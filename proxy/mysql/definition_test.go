package mysql

import "testing"

// Whatever the sql_mode is, a definition is read in one syntax, and the client's words in the one that they were said in.
func TestSyntaxOfDefinitions(t *testing.T) {
	for mode, want := range map[string]string{
		"": "IGNORE_BAD_TABLE_OPTIONS", "NO_BACKSLASH_ESCAPES": "IGNORE_BAD_TABLE_OPTIONS", "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES,NO_ZERO_DATE": "STRICT_TRANS_TABLES,NO_ZERO_DATE,IGNORE_BAD_TABLE_OPTIONS",
		"REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI": "IGNORE_BAD_TABLE_OPTIONS", "IGNORE_BAD_TABLE_OPTIONS,STRICT_ALL_TABLES": "STRICT_ALL_TABLES,IGNORE_BAD_TABLE_OPTIONS",
	} {
		if got := definitionMode(mode); got != want {
			t.Errorf("%q: %q, want %q", mode, got, want)
		}
	}
	if got := withSyntaxOf("STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES", "NO_ZERO_DATE,ANSI_QUOTES"); got != "STRICT_ALL_TABLES,ANSI_QUOTES" {
		t.Errorf("got %q", got)
	}
}
