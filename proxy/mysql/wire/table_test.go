package wire

import (
	"bytes"
	"testing"
)

func TestRenamedTable(t *testing.T) {
	definition := func(table, column string) (p []byte) {
		for _, text := range []string{"def", "app", table, table, column, column} {
			p = appendText(p, text)
		}
		return append(p, 0x0c, 63, 0, 11, 0, 0, 0, 3, 0, 0, 0, 0, 0)
	}
	rename := map[string]string{"nexus_call_1": "p", "app": "other", "a": "b"}
	if got := RenamedTable(definition("nexus_call_1", "a"), rename); !bytes.Equal(got, definition("p", "a")) {
		t.Errorf("%q", got)
	}
	for _, same := range [][]byte{definition("t", "a"), {}, {200}, {3, 'd', 'e', 'f', 0xfb}} {
		if got := RenamedTable(same, rename); !bytes.Equal(got, same) {
			t.Errorf("%q became %q", same, got)
		}
	}
}

func TestRows(t *testing.T) {
	for _, tc := range []struct {
		got  []byte
		want string
	}{
		{WarningRow("Note", 1051, "m", false), "\x04Note\x041051\x01m"}, {WarningRow("Note", 1051, "m", true), "\x00\x00\x04Note\x1b\x04\x00\x00\x01m"},
		{CountRow(12, false), "\x0212"}, {CountRow(12, true), "\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00"},
	} {
		if string(tc.got) != tc.want {
			t.Errorf("%q, want %q", tc.got, tc.want)
		}
	}
}
