package mysql

import (
	"bytes"
	"slices"
	"strings"
)

// savepoint is where a transaction stood when it said SAVEPOINT. The server takes rows out of its binary log when a transaction goes back to one, but not where it has
// made temporary tables: then it writes ROLLBACK TO behind them.
type savepoint struct {
	name          string // in quotes
	events, bytes int
	marks         int
	eventRuns     int
}

// savepoint takes note of SAVEPOINT, and takes back what ROLLBACK TO says. The words stand behind the default database and a zero.
func (c *capture) savepoint(raw []byte) {
	if c.group&preparedGroup == 0 {
		return
	}
	text := string(raw[bytes.LastIndexByte(raw, 0)+1:])
	if name, found := strings.CutPrefix(text, "SAVEPOINT "); found {
		c.savepoints = append(c.savepoints, savepoint{name, len(c.events), c.bytes, c.marks, c.eventRuns})
	}
	name, found := strings.CutPrefix(text, "ROLLBACK TO ")
	if !found {
		return
	}
	for i, s := range slices.Backward(c.savepoints) {
		if !strings.EqualFold(s.name, name) {
			continue
		}
		c.savepoints = c.savepoints[:i+1]
		c.marks, c.eventRuns = s.marks, s.eventRuns
		if c.bytes <= c.b.cfg.MaxTransactionBytes { // else its events were thrown away already
			c.bytes, c.events = s.bytes, c.events[:s.events]
		}
		return
	}
	c.trespassed = true // to where it goes back is not known
}
