package mysql

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

// benchEvents are the row events of an insert of sysbench and of the node's own marker, by their sizes.
func benchEvents() []byte {
	var events []byte
	add := func(kind byte, size int, end bool) {
		e := make([]byte, size)
		e[4] = kind
		binary.LittleEndian.PutUint32(e[9:], uint32(size))
		if end {
			e[eventHeader+6] = statementEnd
		}
		events = append(events, e...)
	}
	for _, row := range []int{250, 60} {
		add(eventTableMap, 60, false)
		add(eventFirstRows, row, true)
	}
	return events
}

func BenchmarkEncodeRows(b *testing.B) {
	events := benchEvents()
	b.ReportAllocs()
	for b.Loop() {
		_ = appendRows(make([]byte, 0, len(events)+16), 3, 4711, events)
	}
}

// BenchmarkBuildRows is transactions of the log becoming statements of a server.
func BenchmarkBuildRows(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("transactions=%d", n), func(b *testing.B) {
			e := raft.Entry{Position: raft.Position{Term: 1, Index: 1}}
			for i := range n {
				e.Commands = append(e.Commands, raft.Command{Data: appendRows(nil, 3, uint64(i), benchEvents())})
			}
			b.ReportAllocs()
			for b.Loop() {
				ops := make([]operation, n)
				for i := range ops {
					c, err := decodeCommand(e.Commands[i].Data)
					if err != nil {
						b.Fatal(err)
					}
					ops[i] = operation{command: c, entry: &e, index: i}
				}
				if _, err := binlogStatements(ops, false); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/transaction")
		})
	}
}
