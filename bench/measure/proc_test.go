package measure

import (
	"os"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	u, err := parseStat("4711 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 99 1000000 25 18446744073709551615 0")
	if err != nil || u.CPU != 2*time.Second || u.Memory != 25*uint64(os.Getpagesize()) {
		t.Errorf("parseStat = %+v, %v", u, err)
	}
	if n, err := parseIO("rchar: 1\nwchar: 2\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n"); err != nil || n != 4096 {
		t.Errorf("parseIO = %d, %v", n, err)
	}
	if d, err := parseMachine([]byte("cpu  100 1 50 9999 888 1 2 46 0 0\ncpu0 1 2\n")); err != nil || d != 2*time.Second {
		t.Errorf("parseMachine = %v, %v", d, err)
	}
	const devices = "Inter-|   Receive\n face |bytes\n    lo: 12345  99 0 0 0 0 0 0 12345 99\n  eth0: 1 2 3\n"
	if n, err := parseLoopback(devices); err != nil || n != 12345 {
		t.Errorf("parseLoopback = %d, %v", n, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"", "1 (x) S 1 2", "1 x S"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = nil error", bad)
		}
		if _, err := parseIO(bad); err == nil {
			t.Errorf("parseIO(%q) = nil error", bad)
		}
		if _, err := parseMachine([]byte(bad)); err == nil {
			t.Errorf("parseMachine(%q) = nil error", bad)
		}
		if _, err := parseLoopback(bad); err == nil {
			t.Errorf("parseLoopback(%q) = nil error", bad)
		}
	}
}

func TestProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("this system has no /proc as Linux has")
	}
	before, err := Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for sum, n := uint64(0), uint64(0); ; n++ { // until the CPU time has grown
		if sum += n; n%1_000_000 != 0 {
			continue
		}
		after, err := Process(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if used := after.Since(before); used.CPU > 0 {
			if used.Memory == 0 {
				t.Error("no memory in use")
			}
			return
		}
	}
}
