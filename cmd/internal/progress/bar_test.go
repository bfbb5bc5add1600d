package progress

import (
	"bytes"
	"os"
	"testing"
)

func TestNobodyLooks(t *testing.T) {
	if b := Start(&bytes.Buffer{}, "x", 1, false); b != nil {
		t.Error("a bar in a buffer")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	b := Start(w, "x", 1, false)
	if b != nil {
		t.Error("a bar in a pipe")
	}
	b.Add(1)
	b.Reach(1, 2)
	b.Describe("y")
	b.Close()
}
