package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"sync"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// Types of events in the binary log of MariaDB that matter here.
const (
	eventQuery     = 2
	eventRotate    = 4
	eventFormat    = 15
	eventXID       = 16
	eventTableMap  = 19
	eventFirstRows = 23 // WRITE, UPDATE and DELETE_ROWS, version 1
	eventLastRows  = 25
	eventXAPrepare = 38
	eventGTID      = 162

	eventHeader  = 19
	eventEndAt   = 13 // where in the header stands where the event ends in its file
	eventFlagsAt = 17
	// artificialEvent in the flags of an event: it stands in no file.
	artificialEvent = 0x20
	// standaloneGroup in the flags of a GTID: one event. preparedGroup: an XA transaction up to XA PREPARE.
	standaloneGroup = 1
	preparedGroup   = 64
	completedGroup  = 128
)

// capture reads the binary log of the server as a replica does, and hands the rows of each prepared transaction to who
// waits for them.
type capture struct {
	b      *Backend
	syncer *replication.BinlogSyncer
	stream *replication.BinlogStreamer
	broken error         // why nothing comes any more, as far as it was noticed
	format chan struct{} // closed when description is set

	mu   sync.Mutex
	file string           // that is being read
	at   uint32           // where in it the event ends that is being taken; 0 where that is not known
	read gomysql.Position // behind the last group that was read whole

	// Touched by the syncer's goroutine only, but description, which is written before format is closed.
	description []byte
	once        sync.Once
	group       byte // flags of the group that is being read
	events      []byte
	bytes       int // of the events, also those that were not kept because they are too many
	table       string
	sequences   map[uint64]sequenceState // of the group, by table
	markers     uint64                   // id of the table of markers
	marks       int
	marked      transactionID // what the last of them says
	trespassed  bool          // rows of Nexus's own were written that only Nexus may write
	astray      bool          // a savepoint was gone back to that is not known
	runs        uint64        // id of the table of the runs of events
	eventRuns   int
	savepoints  []savepoint // of the group
	checksums   bool        // events of this file end with one

	suspects []string               // tables of rows of the group that are in no transaction of Nexus's
	mapped   map[uint64]mappedTable // of the group, by id
	changed  []mappedTable          // those of them with rows that were changed or removed, which the others have to find
	findable findable
}

// HandleEvent takes the next event. It never fails: what it does not understand is in no group that somebody waits for.
func (c *capture) HandleEvent(e *replication.BinlogEvent) error {
	raw := c.withoutChecksum(e.RawData)
	if len(raw) < eventHeader {
		return nil
	}
	c.follow(raw, len(e.RawData))
	switch kind := raw[4]; {
	case kind == eventRotate:
		c.rotated(raw)
	case kind == eventFormat:
		c.once.Do(func() {
			c.description = append([]byte(nil), raw...)
			close(c.format)
		})
	case kind == eventGTID:
		c.beginGroup(raw[eventHeader:])
	case kind == eventTableMap:
		c.mapTable(raw[eventHeader:])
		c.add(raw)
	case kind >= eventFirstRows && kind <= eventLastRows:
		c.checkRows(raw)
		c.add(raw)
		if c.group&(preparedGroup|completedGroup) == 0 && !c.advance(raw[eventHeader:]) {
			c.suspect()
		}
	case kind == eventQuery:
		c.savepoint(raw)
		if endsTransaction(raw) {
			c.settle(raw)
		}
		switch {
		case c.group&completedGroup != 0:
			c.checkCompleted(raw)
		case c.group&preparedGroup == 0 && !endsTransaction(raw):
			c.b.sequences.redefined()
		}
		if c.group&(completedGroup|standaloneGroup) != 0 || endsTransaction(raw) {
			c.readUpTo()
		}
	case kind == eventXID:
		c.settle(raw)
		c.readUpTo()
	case kind == eventXAPrepare:
		if xid, ok := preparedXID(raw[eventHeader:]); ok {
			c.b.transactions.deliver(xid, captured{
				marked: c.marked, events: c.events, bytes: c.bytes, trespassed: c.trespassed || c.marks != 1 && !c.astray, astray: c.astray,
				eventRuns: c.eventRuns, changed: c.changed, findable: &c.findable,
			})
		}
		c.events, c.bytes = nil, 0
		c.readUpTo()
	}
	return nil
}

func (c *capture) beginGroup(body []byte) {
	c.settle(nil)
	c.group, c.events, c.bytes, c.marks, c.trespassed, c.astray, c.eventRuns = 0, nil, 0, 0, false, false, 0
	c.changed, c.savepoints = nil, nil
	clear(c.mapped)
	clear(c.sequences)
	if len(body) > 12 {
		c.group = body[12]
	}
}

// mapTable takes a table map: id (6), flags (2), names.
func (c *capture) mapTable(body []byte) {
	database, table := tableOf(body)
	if tableID(body) == c.runs { // of a server that was restarted
		c.runs = 0
	}
	switch {
	case database == "nexus" && table == "event_run":
		c.runs = tableID(body)
	case !IsBookkeeping(database, table):
	case table == "applied":
		c.markers = tableID(body)
	default:
		c.trespassed = true
	}
	c.table = database + "." + table
	if c.mapped == nil {
		c.mapped = make(map[uint64]mappedTable)
	}
	c.mapped[tableID(body)] = mappedTable{id: tableID(body), database: database, table: table}
	if isSequence(body) {
		if c.sequences == nil {
			c.sequences = make(map[uint64]sequenceState)
		}
		c.sequences[tableID(body)] = sequenceState{database: database, name: table}
	}
}

// advance notes that a sequence has advanced.
func (c *capture) advance(body []byte) bool {
	state, found := c.sequences[tableID(body)]
	if !found {
		return false
	}
	row, ok := sequenceRow(body)
	if ok {
		row.database, row.name = state.database, state.name
		c.b.sequences.advanced(row)
	}
	return ok
}

// endsTransaction reports whether the text of a query event ends a transaction, as behind the row of a sequence.
func endsTransaction(raw []byte) bool {
	return bytes.HasSuffix(raw, []byte("COMMIT")) || bytes.HasSuffix(raw, []byte("ROLLBACK"))
}

// markSize is that of the event that inserts one marker.
const markSize = eventHeader + 8 + 1 + 1 + 1 + 16

// checkRows counts the markers: a transaction inserts its own and no other. It counts what is written of the runs of events, too.
func (c *capture) checkRows(raw []byte) {
	id := tableID(raw[eventHeader:])
	if id == c.runs && id != 0 {
		c.eventRuns++
	}
	if raw[4] != eventFirstRows {
		c.noteChanged(id, len(raw))
	}
	if id != c.markers || c.markers == 0 {
		return
	}
	c.marks++
	if raw[4] != eventFirstRows || len(raw) != markSize {
		c.trespassed = true
		return
	}
	c.marked = transactionID{binary.LittleEndian.Uint64(raw[markSize-16:]), binary.LittleEndian.Uint64(raw[markSize-8:])}
}

func tableID(body []byte) uint64 {
	if len(body) < 6 {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(body)) | uint64(binary.LittleEndian.Uint16(body[4:]))<<32
}

func (c *capture) add(raw []byte) {
	if c.group&preparedGroup == 0 {
		return
	}
	if c.bytes += len(raw); c.bytes > c.b.cfg.MaxTransactionBytes {
		c.events = nil // it will be rolled back
		return
	}
	c.events = append(c.events, raw...)
}

// checkCompleted looks at the end of a prepared transaction: only the applier commits any.
func (c *capture) checkCompleted(raw []byte) {
	at := bytes.LastIndex(raw, commitsXA)
	if at < 0 {
		return // rolled back, which writes nothing
	}
	if !c.b.transactions.takeExpected(raw[at+len(commitsXA):]) {
		c.table = "of a prepared transaction" // of which the rows were read before
		c.beside()
	}
}

// commitsXA begins the text of XA COMMIT in the binary log; the name in hexadecimal digits, and commonXID, follow.
var (
	commitsXA = []byte("XA COMMIT X'")
	commonXID = []byte("',X'',1")
)

// suspect notes a row that was written without the log of raft, if its group is not rolled back.
func (c *capture) suspect() {
	if len(c.suspects) == 0 || c.suspects[len(c.suspects)-1] != c.table {
		c.suspects = append(c.suspects, c.table)
	}
}

// settle looks at how a group ends that has such rows. The server writes one down that is rolled back, where the session has made temporary tables in it:
// nobody has these rows, but in the tables of the database mysql, which have no transactions.
func (c *capture) settle(end []byte) {
	rolledBack := bytes.HasSuffix(end, []byte("\x00ROLLBACK")) // behind the default database
	for _, table := range c.suspects {
		if !rolledBack || strings.HasPrefix(strings.ToLower(table), "mysql.") {
			c.table = table
			c.beside()
		}
	}
	c.suspects = c.suspects[:0]
}

// beside notices rows that were written without the log of raft: those of engines without transactions, or by somebody
// who should not be there.
func (c *capture) beside() {
	c.b.stats.beside.Add(1)
	c.b.log.Error("the backend was written to beside the log, and differs from the others now", "table", c.table)
	if !strings.HasPrefix(c.table, "mysql.time_zone") { // which everybody fills for his own server
		c.b.doubt.Store(&errBeside)
	}
}

var errBeside = errors.New("it was written to beside the log")

// Doubt returns why the server may differ from the others. See raft.Doubter.
func (b *Backend) Doubt() error {
	if why := b.doubt.Swap(nil); why != nil {
		return *why
	}
	return nil
}

// preparedXID reads the name out of an XA PREPARE event: one-phase flag, format, two lengths, bytes.
func preparedXID(body []byte) (string, bool) {
	if len(body) < 13 {
		return "", false
	}
	size := uint64(binary.LittleEndian.Uint32(body[5:]))
	if size > uint64(len(body)-13) {
		return "", false
	}
	return string(body[13 : 13+size]), true
}

// tableOf reads the names out of the body of a table map: id (6), flags (2), then both with length and NUL.
func tableOf(body []byte) (database, table string) {
	var parts [2]string
	rest := body[min(8, len(body)):]
	for i := range parts {
		if len(rest) == 0 || int(rest[0])+2 > len(rest) {
			return "", ""
		}
		parts[i] = string(rest[1 : 1+rest[0]])
		rest = rest[2+int(rest[0]):]
	}
	return parts[0], parts[1]
}
