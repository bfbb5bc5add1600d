package redis

import "sync/atomic"

// Stats counts since the start of the process.
type Stats struct {
	Entries     uint64 // applied
	Commands    uint64 // ops applied
	Execs       uint64 // transactions
	Reconnects  uint64 // of the connection that applies
	Reads       uint64 // Read and Stream calls
	Deadlines   uint64 // keys in the index now
	Subscribers uint64 // connections for subscribers now
}

type counters struct {
	entries, commands, execs, reconnects, reads atomic.Uint64
}

// Stats returns the counters.
func (b *Backend) Stats() Stats {
	return Stats{
		Entries:     b.stats.entries.Load(),
		Commands:    b.stats.commands.Load(),
		Execs:       b.stats.execs.Load(),
		Reconnects:  b.stats.reconnects.Load(),
		Reads:       b.stats.reads.Load(),
		Deadlines:   uint64(b.size.Load()),
		Subscribers: uint64(b.subscribers.count()),
	}
}
