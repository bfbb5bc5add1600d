package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

var kindNames = map[Kind]string{KindList: "list", KindZSet: "zset", KindStream: "stream", KindGroup: "group"}

// TestBlockingGolden shows what commands wait for, the command for the last of its keys alone, and what writes bring.
func TestBlockingGolden(t *testing.T) {
	table := NewTable()
	var out strings.Builder
	const file = "testdata/blocking.golden"
	lines := readCases(t, file)
	for i, line := range lines {
		in, _, ok := strings.Cut(line, " => ")
		if ok && !strings.HasPrefix(line, "#") {
			args := parseWords(t, in)
			d := table.Lookup(args, testContext)
			if d.Spec == nil {
				t.Fatalf("%s: %s", in, d.Err)
			}
			line = in + " => " + showBlocking(d.Spec, args) + showBrings(d.Spec, args)
		}
		out.WriteString(line)
		if i < len(lines)-1 || line != "" {
			out.WriteByte('\n')
		}
	}
	checkGolden(t, file, out.String())
}

func showBlocking(s *Spec, args [][]byte) string {
	b, ok := s.Blocks(args)
	if !ok {
		return "does not wait"
	}
	out := fmt.Sprintf("waits %v for %s", b.Timeout, kindNames[b.Kind])
	if b.Timeout == 0 {
		out = "waits for ever for " + kindNames[b.Kind]
	}
	out += " " + formatWords(b.Keys) + fmt.Sprintf(", takes %d", b.Takes)
	if b.Kind == KindStream || b.Kind == KindGroup {
		out += "; " + formatWords(WithoutBlock(args)) + "; ids " + formatWords(StreamIDs(args))
	}
	if len(b.Keys) > 1 && b.Kind != KindStream {
		out += "; " + formatWords(s.BlockingKeys(args, b.Keys[len(b.Keys)-1:]))
	}
	return out
}

func showBrings(s *Spec, args [][]byte) string {
	brings, all := s.AppendBrings(nil, args, true)
	out := ""
	for _, b := range brings {
		n := fmt.Sprint(b.N)
		switch {
		case b.N == Unknown:
			n = "any"
		case !b.Exact:
			n = "up to " + n
		}
		out += fmt.Sprintf("; brings %s %s %s", n, kindNames[b.Kind], b.Key)
		if b.DB != CurrentDB {
			out += fmt.Sprintf(" in %d", b.DB)
		}
	}
	if all {
		out += "; may bring anything"
	}
	return out
}

// A timeout that is taken here is one that Redis takes, and means the same there.
func TestBlockingTimeoutsAreTheServers(t *testing.T) {
	c := redistest.Dial(t)
	for _, timeout := range []string{"0", "0.001", "1", "1e1", "+1", "-1", "-0", " 1", "1 ", "", "x", "nan", "inf", "1e30", "1_0", "0x1p1",
		".5", "5.", "1e-9", "9223372036854775807", "9223372036854775", "0b1", "1e"} {
		_, ok := blockSeconds([]byte(timeout))
		// In a transaction nothing waits.
		c.Do("MULTI")
		c.Do("BLPOP", "nokey", timeout)
		reply, _ := c.Do("EXEC").([]any)
		if len(reply) != 1 {
			t.Fatalf("%q: %v", timeout, reply)
		}
		if e, failed := reply[0].(redistest.Error); ok && failed {
			t.Errorf("%q: taken here, Redis says %q", timeout, e)
		}
	}
}
