package mysql

import "testing"

// Events behind a savepoint that a transaction goes back to are none of its events, and those of one that was too large do not come back.
func TestSavepointsOfCapture(t *testing.T) {
	c := &capture{b: &Backend{cfg: Config{MaxTransactionBytes: 20}}, group: preparedGroup}
	say := func(text string) { c.savepoint(append(make([]byte, eventHeader+20), text...)) }
	want := func(events string, bytes int, astray bool) {
		t.Helper()
		if string(c.events) != events || c.bytes != bytes || c.astray != astray {
			t.Errorf("%q of %d bytes, %v; want %q of %d, %v", c.events, c.bytes, c.astray, events, bytes, astray)
		}
	}
	c.add([]byte("one,"))
	say("SAVEPOINT `a`")
	c.add([]byte("two,"))
	say("SAVEPOINT `b``c`")
	c.add([]byte("three,"))
	want("one,two,three,", 14, false)
	say("ROLLBACK TO `B``C`")
	want("one,two,", 8, false)
	c.add([]byte("four,"))
	say("ROLLBACK TO `b``c`")
	want("one,two,", 8, false)
	say("SAVEPOINT `a`") // the later one of two is meant
	c.add([]byte("five,"))
	say("ROLLBACK TO `a`")
	want("one,two,", 8, false)
	c.add(make([]byte, 20))
	say("ROLLBACK TO `a`")
	want("", 28, false)
	say("ROLLBACK TO `nosuch`")
	want("", 28, true)
}

// A savepoint is the same in the quotes of another sql_mode, and of two that the server may take for the same none is guessed.
func TestSavepointNames(t *testing.T) {
	for _, test := range []struct {
		texts  []string // an event behind each
		events string
		astray bool
	}{
		{[]string{"SAVEPOINT `a`", "SAVEPOINT \"A\"", "ROLLBACK TO `a`"}, "013", false},
		{[]string{"SAVEPOINT `a\"`", "SAVEPOINT \"A\"\"\"", "ROLLBACK TO `a\"`"}, "013", false},
		{[]string{"SAVEPOINT `e`", "SAVEPOINT `é`", "ROLLBACK TO `e`"}, "0123", true},
		{[]string{"SAVEPOINT `é`", "SAVEPOINT `e`", "ROLLBACK TO `e`"}, "013", false},
		{[]string{"SAVEPOINT `e`", "ROLLBACK TO `é`"}, "012", true},
		{[]string{"SAVEPOINT `a `", "ROLLBACK TO `a`"}, "012", true},
	} {
		c := &capture{b: &Backend{cfg: Config{MaxTransactionBytes: 20}}, group: preparedGroup}
		c.add([]byte("0"))
		for i, text := range test.texts {
			c.savepoint(append(make([]byte, eventHeader+20), text...))
			c.add([]byte{byte('1' + i)})
		}
		if string(c.events) != test.events || c.astray != test.astray {
			t.Errorf("%q: %q, %v; want %q, %v", test.texts, c.events, c.astray, test.events, test.astray)
		}
	}
}
