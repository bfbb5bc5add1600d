package network

import (
	"net"
	"os"
	"testing"
)

func BenchmarkOwner(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	accepted, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer accepted.Close()
	pids := map[string]int{"a": os.Getpid(), "b": os.Getppid()}
	for b.Loop() {
		if name, err := ownerOf(accepted, pids); err != nil || name != "a" {
			b.Fatal(name, err)
		}
	}
}
