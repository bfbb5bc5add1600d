package mysql

import (
	"bytes"
	"testing"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A client tells the types of parameters once, and another statement that is executed in the place of its own is told them each time.
func TestExecuteAsOther(t *testing.T) {
	head, id := []byte{wire.ComStmtExecute, 9, 9, 9, 9, 0, 1, 0, 0, 0}, []byte{1, 2, 3, 4}
	command := func(head []byte, rest ...byte) []byte { return append(bytes.Clone(head), rest...) }
	want := command([]byte{wire.ComStmtExecute, 1, 2, 3, 4, 0, 1, 0, 0, 0}, 0b10, 1, 3, 0, 253, 0, 7, 0, 0, 0)
	p := &prepared{parameters: 2}
	if _, ok := p.asOther(command(head, 0b10, 0, 7, 0, 0, 0), id); ok {
		t.Error("types that were never told are told")
	}
	for _, payload := range [][]byte{command(head, 0b10, 1, 3, 0, 253, 0, 7, 0, 0, 0), command(head, 0b10, 0, 7, 0, 0, 0)} {
		p.bind(payload)
		typed := p.typed(payload)
		if !bytes.Equal(typed[5:], want[5:]) || typed[1] != 9 {
			t.Errorf("%v: typed %v", payload, typed)
		}
		if got, ok := p.asOther(typed, id); !ok || !bytes.Equal(got, want) {
			t.Errorf("%v: got %v, %v, want %v", payload, got, ok, want)
		}
		for n := range executeHead + 2 {
			p.bind(payload[:n])
			if got, ok := p.asOther(append(command(head[:min(n, 5)]), make([]byte, max(0, 5-n))...), id); ok {
				t.Errorf("%d bytes: got %v", n, got)
			}
		}
	}
	if got := p.typed(head); !bytes.Equal(got, head) {
		t.Errorf("one that ends early: typed %v", got)
	}
	if got, ok := (&prepared{}).asOther(head, id); !ok || !bytes.Equal(got, want[:executeHead]) {
		t.Errorf("without parameters: got %v, %v", got, ok)
	}
	p.long = true
	if _, ok := p.asOther(p.typed(command(head, 0b10, 0, 7, 0, 0, 0)), id); ok {
		t.Error("a value is left out that was sent before")
	}
}
