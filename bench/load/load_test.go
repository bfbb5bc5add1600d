package load

import (
	"slices"
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	r := newRequests(3)
	got := string(r.appendSet(r.appendGet(nil, 42), 123456))
	want := "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n*3\r\n$3\r\nSET\r\n$16\r\nkey:000000123456\r\n$3\r\n" + string(Value(3)) + "\r\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReplies(t *testing.T) {
	const stream = "+OK\r\n$-1\r\n$5\r\nab\r\nc\r\n-TRYAGAIN no leader\r\n:7\r\n$0\r\n\r\n-ERR x\r\n"
	for size := 1; size <= len(stream); size++ {
		var r replies
		n := 0
		for rest := []byte(stream); len(rest) > 0; {
			k := min(size, len(rest))
			ended, err := r.feed(rest[:k])
			if err != nil {
				t.Fatal(err)
			}
			n += ended
			rest = rest[k:]
		}
		if n != 7 || r.errors != 2 || r.first != "TRYAGAIN no leader" || r.skip != 0 {
			t.Errorf("in pieces of %d: %d replies, %d errors, first %q", size, n, r.errors, r.first)
		}
	}
	for _, bad := range []string{"*1\r\n", "$x\r\n", "\n"} {
		if _, err := new(replies).feed([]byte(bad)); err == nil {
			t.Errorf("feed(%q) = nil error", bad)
		}
	}
}

func TestChooser(t *testing.T) {
	const draws = 100_000
	count := func(s Spec) (reads int, most int) {
		c := NewChooser(s)
		keys := make([]int, s.Keys)
		for range draws {
			if c.Read() {
				reads++
			}
			keys[c.Key()]++
		}
		return reads, slices.Max(keys)
	}
	reads, most := count(Spec{Keys: 100, Reads: 0.25, Seed: 1})
	if reads < draws/5 || reads > draws*3/10 || most > draws/50 {
		t.Errorf("%d of %d are reads, %d of one key", reads, draws, most)
	}
	if _, most = count(Spec{Keys: 100, Reads: 1, Zipf: true, Seed: 1}); most < draws/10 {
		t.Errorf("no key is popular: at most %d of %d", most, draws)
	}
	for part, want := range map[float64]int{0: 0, 1: draws} {
		if reads, _ := count(Spec{Keys: 1, Reads: part}); reads != want {
			t.Errorf("%d of %d are reads, want %d", reads, draws, want)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Spec{Clients: 1, Pipeline: 1, Size: 1, Keys: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Spec){
		func(s *Spec) { s.Clients = 0 }, func(s *Spec) { s.Pipeline = 0 }, func(s *Spec) { s.Size = 0 },
		func(s *Spec) { s.Keys = 0 }, func(s *Spec) { s.Keys = maxKeys + 1 }, func(s *Spec) { s.Reads = 1.5 },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.HasPrefix(err.Error(), "load with") {
			t.Errorf("Validate(%+v) = %v", bad, err)
		}
	}
}
