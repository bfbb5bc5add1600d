package main

import "testing"

func TestParse(t *testing.T) {
	const out = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","66666.66","0.421","0.096","0.391","0.719","1.111","2.127"
`
	got, err := parse([]byte(out))
	if want := (result{rps: 66666.66, p50: 0.391, p99: 1.111}); err != nil || got != want {
		t.Errorf("parse = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "\"test\",\"rps\"\n\"SET\",\"1\"\n", "ERR no such command"} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("parse(%q) = nil error", bad)
		}
	}
}

func TestParseSysbench(t *testing.T) {
	const out = `
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       1.011 |**                                       2
       1.027 |****************************             96
       9.250 |                                         2

    transactions:                        100    (2586.84 per sec.)
`
	got, err := parseSysbench(out)
	if want := (result{rps: 2586.84, p50: 1.027, p99: 9.25}); err != nil || got != want {
		t.Errorf("parseSysbench = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "FATAL: no", "transactions: 100 (1.0 per sec.)"} {
		if _, err := parseSysbench(bad); err == nil {
			t.Errorf("parseSysbench(%q) = nil error", bad)
		}
	}
}
