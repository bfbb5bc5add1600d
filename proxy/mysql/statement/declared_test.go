package statement

import "testing"

// The server tells texts in types with backslashes, whatever the sql_mode is.
func TestWithoutBackslashes(t *testing.T) {
	for declared, want := range map[string]string{
		`enum('a\\','b''c')`: `enum('a\','b''c')`, `set('\\','x\\\\y')`: `set('\','x\\y')`, `enum('\n','\0')`: "enum('\n','\x00')", `enum('\'','q')`: `enum('''','q')`,
		`int(11)`: `int(11)`, `enum('''\\''','z')`: `enum('''\''','z')`,
	} {
		if got := WithoutBackslashes(declared); got != want {
			t.Errorf("%s: %q, want %q", declared, got, want)
		}
	}
}
