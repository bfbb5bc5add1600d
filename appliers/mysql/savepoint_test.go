package mysql

import "testing"

// Events behind a savepoint that a transaction goes back to are none of its events, and those of one that was too large do not come back.
func TestSavepointsOfCapture(t *testing.T) {
	c := &capture{b: &Backend{cfg: Config{MaxTransactionBytes: 20}}, group: preparedGroup}
	say := func(text string) { c.savepoint(append(make([]byte, eventHeader+20), text...)) }
	want := func(events string, bytes int, trespassed bool) {
		t.Helper()
		if string(c.events) != events || c.bytes != bytes || c.trespassed != trespassed {
			t.Errorf("%q of %d bytes, %v; want %q of %d, %v", c.events, c.bytes, c.trespassed, events, bytes, trespassed)
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
