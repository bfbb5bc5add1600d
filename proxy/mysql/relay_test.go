package mysql

import "testing"

// A relay is given up, once, when another member was seen to lead for long enough, whether the time in between has told of none or not.
func TestRelayIsLost(t *testing.T) {
	look := func(r *relayed, leader uint64, times int) (lost int) {
		for range times {
			if r.isLost(leader) {
				lost++
			}
		}
		return lost
	}
	r := &relayed{conn: &leaderConn{id: 7}}
	if got := look(r, 7, 100) + look(r, 0, 100) + look(r, 8, movedLooks-1); got != 0 {
		t.Fatalf("given up %d times while its leader led, none was known, or another did for a moment", got)
	}
	if got := look(r, 7, 1) + look(r, 8, movedLooks-1) + look(r, 0, 5); got != 0 {
		t.Fatalf("given up %d times though its leader has led again", got)
	}
	if got := look(r, 9, 1) + look(r, 9, 100); got != 1 {
		t.Errorf("given up %d times, want once", got)
	}
	if look(&relayed{}, 8, 100) != 0 {
		t.Error("a connection that is served here was given up")
	}
}
