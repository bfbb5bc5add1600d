package cluster

import (
	"net"
	"testing"
)

func TestFreePorts(t *testing.T) {
	seen := make(map[int]bool)
	for range 50 {
		first, err := FreePorts(3)
		if err != nil {
			t.Fatal(err)
		}
		for port := first; port < first+3; port++ {
			if seen[port] {
				t.Fatalf("port %d was given twice", port)
			}
			seen[port] = true
			l, err := net.Listen("tcp", Address(port))
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
}
