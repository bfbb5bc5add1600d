package mysql

import (
	"bytes"
	"slices"
	"strings"
)

// savepoint is where a transaction stood when it said SAVEPOINT. The server takes rows out of its binary log when a transaction goes back to one, but not where it has
// made temporary tables: then it writes ROLLBACK TO behind them.
type savepoint struct {
	name          string // without quotes
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
		c.savepoints = append(c.savepoints, savepoint{savepointName(name), len(c.events), c.bytes, c.marks, c.eventRuns})
	}
	name, found := strings.CutPrefix(text, "ROLLBACK TO ")
	if !found {
		return
	}
	name = savepointName(name)
	for i, s := range slices.Backward(c.savepoints) {
		if !isPlainName(s.name) {
			break // the server may take it for the one that is meant
		}
		if !isPlainName(name) || !strings.EqualFold(s.name, name) {
			continue
		}
		c.savepoints = c.savepoints[:i+1]
		c.marks, c.eventRuns = s.marks, s.eventRuns
		if c.bytes <= c.b.cfg.MaxTransactionBytes { // else its events were thrown away already
			c.bytes, c.events = s.bytes, c.events[:s.events]
		}
		return
	}
	c.astray = true
}

// savepointName takes the quotes off, which are those of the session's sql_mode.
func savepointName(text string) string {
	if len(text) < 2 || text[0] != '`' && text[0] != '"' || text[len(text)-1] != text[0] {
		return text
	}
	quote := text[:1]
	return strings.ReplaceAll(text[1:len(text)-1], quote+quote, quote)
}

// isPlainName reports whether the server compares a name as strings.EqualFold does: it does not look at accents, nor at spaces behind.
func isPlainName(name string) bool {
	return !strings.HasSuffix(name, " ") && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' })
}
