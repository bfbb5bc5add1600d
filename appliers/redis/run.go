package redis

import (
	"bytes"
	"fmt"
	"net"
	"strconv"

	"github.com/nexus-replication/nexus/raft"
)

// bigCommand is the size from which a command is sent from where it stands instead of being copied into one buffer.
const bigCommand = 64 << 10

// run is one transaction: some entries, what is sent for them, and what their replies are. It is used again for the
// next one.
type run struct {
	entries  int
	commands int
	position raft.Position

	out   []byte   // commands, encoded
	parts [][]byte // what is sent; filled when a big command interrupts out
	from  int      // start of what stands in out and not yet in parts
	sized int      // bytes sent

	slots []slot
	wants []want
	items []Item
	// sets are the operands of the last SETs, which are not sent yet; joined counts the slots that join another.
	sets   [][]byte
	joined int

	indexed  bool  // a command touches deadlines
	scripted bool  // a command runs a script
	evicted  int64 // keys
	tracked  bool  // a Tracker is there
	db       int   // database that the commands so far have selected
	resp3    bool  // the commands so far have selected RESP3
	// settings and users are those after the commands so far.
	settings nodeSettings
	users    *Users

	keep    []byte // replies of wanted commands
	scratch []byte // one reply that is looked at
	args    [][]byte
}

// slot is one command of the transaction, and so one element of the reply to EXEC.
type slot struct {
	kind   slotKind
	flags  ItemFlags
	script bool
	failed bool // answered with an error
	joins  bool // a SET that goes with the one before it and has no reply of its own: see addSet
	db     int
	want   int    // place in wants, or -1
	cmd    []byte // of an item
	key    []byte // of a probe
	reply  []byte // of an expiry item or a probe
}

type slotKind uint8

const (
	slotItem      slotKind = iota
	slotSelect             // SELECT of an item's database
	slotProbe              // PEXPIRETIME of a key that a script may have touched
	slotDeadlines          // what a call of the proxy's library says about the keys that it touched
	slotFlush              // a FLUSHDB that FLUSHALL stands for, after the first
	slotHello              // HELLO, to change the protocol of the replies
	slotMeta               // SELECT of the metadata database
	slotSetting            // a setting of the backend is changed or kept
	slotUsers              // a user of clients is kept
	slotNumber             // what tells a Tracker of the transaction
	slotMarker             // SET of the marker
)

// want is a command whose reply is kept: bytes start to end of keep, lost if they were too many.
type want struct {
	cmd        *raft.Command
	start, end int
	lost       bool
}

func (r *run) reset(metadataDB int) {
	*r = run{
		out: r.out[:0], parts: r.parts[:0], slots: r.slots[:0], wants: r.wants[:0], items: r.items[:0],
		sets:    r.sets[:0],
		scratch: r.scratch, args: r.args, db: metadataDB,
	}
	if cap(r.out) > 16<<20 {
		r.out = nil
	}
}

// build fills the run with as many of entries as fit the bounds, at least one. What cannot be applied at all is a
// *raft.FatalError.
func (r *run) build(cfg *Config, entries []raft.Entry, databases int, settings nodeSettings, users *Users) error {
	r.reset(cfg.MetadataDB)
	r.settings, r.users = settings, users
	r.out = append(r.out, "*1\r\n$5\r\nMULTI\r\n"...)
	for i := range entries {
		e := &entries[i]
		if i > 0 && (len(r.slots) >= cfg.MaxRunItems || r.sized+len(r.out)-r.from+entrySize(e) > cfg.MaxRunBytes) {
			break
		}
		for j := range e.Commands {
			if err := r.add(cfg, &e.Commands[j], databases); err != nil {
				return &raft.FatalError{Err: fmt.Errorf("entry %d, command %d: %w", e.Index, j, err)}
			}
		}
		r.flushSets()
		r.entries++
		r.commands += len(e.Commands)
		r.position = e.Position
	}
	return nil
}

func entrySize(e *raft.Entry) int {
	size := 0
	for i := range e.Commands {
		size += len(e.Commands[i].Data)
	}
	return size
}

func (r *run) add(cfg *Config, cmd *raft.Command, databases int) error {
	items, err := DecodeOp(cmd.Data, r.items)
	r.items = items
	if err != nil {
		return err
	}
	wanted := -1
	if cmd.Wanted {
		wanted = len(r.wants)
		r.wants = append(r.wants, want{cmd: cmd})
	}
	for i := range items {
		it := &items[i]
		if it.Flags&ItemCondition != 0 {
			continue
		}
		if it.DB >= databases || it.DB == cfg.MetadataDB {
			return fmt.Errorf("item %d names database %d of %d, and %d is reserved", i, it.DB, databases, cfg.MetadataDB)
		}
		name, err := checkCommand(it.Cmd)
		if err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
		if it.Flags&ItemTime != 0 {
			return fmt.Errorf("item %d: %.40q was logged without being rewritten by the leader", i, name)
		}
		kind := kindOf(name)
		if kind == kindForbidden {
			return fmt.Errorf("item %d: %.40q must not be in the log", i, name)
		}
		if it.Flags&(ItemDeadline|ItemExpire|ItemEvict) != 0 {
			r.indexed = true
		}
		r.scripted = r.scripted || kind == kindScript
		item := slot{kind: slotItem, flags: it.Flags, script: kind == kindScript, db: it.DB, want: wanted, cmd: it.Cmd}
		if operands, ok := setOperands(it.Cmd, name); ok {
			r.addSet(it, item, operands)
			continue
		}
		r.flushSets()
		if err := r.addItem(cfg, it, kind, item, databases); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

// addItem adds one item, and what is asked or set along with it.
func (r *run) addItem(cfg *Config, it *Item, kind commandKind, item slot, databases int) error {
	switch {
	case it.Flags&ItemUsers != 0:
		return r.addUsers(cfg, it, item)
	case kind == kindWipe:
		return r.flushAll(cfg, item, databases)
	}
	r.sel(it.DB, slotSelect)
	if item.want >= 0 {
		r.speak(it.Flags&ItemRESP3 != 0)
	}
	switch {
	case it.Flags&ItemExpire != 0:
		return r.addExpire(it, item)
	case it.Flags&ItemEvict != 0:
		return r.addEvict(it, item)
	}
	if kind == kindScript && r.settings.sendsAny() && r.tellsItself(it.Cmd) {
		r.addTelling(it.DB, item)
		if it.Flags&ItemDeadline != 0 {
			r.speak(false)
			r.probe(it)
		}
		return nil
	}
	if kind == kindConfig {
		var err error
		if item.cmd, err = withoutLimit(it.Cmd, r.args); err != nil {
			return err
		}
	}
	r.send(item.cmd)
	r.slots = append(r.slots, item)
	switch {
	case kind == kindConfig:
		return r.addSetting(cfg.MetadataDB, it.Cmd)
	case kind == kindScript && it.Flags&ItemDeadline != 0:
		r.speak(false)
		r.probe(it)
	}
	return nil
}

// probe asks what a script did to deadlines, which cannot be seen otherwise.
func (r *run) probe(it *Item) {
	var err error
	if r.args, err = ParseCommand(it.Cmd, r.args); err != nil || len(r.args) < 3 {
		return
	}
	if library, ok := libraryOf(r.args); ok {
		verb, suffix := "FCALL_RO", deadlinesSuffix
		if isUnkillable(library) {
			verb, suffix = "FCALL", unkillableSuffix
		}
		r.out = AppendCommand(r.out, []byte(verb), append(library, suffix...), []byte("0"))
		r.slots = append(r.slots, slot{kind: slotDeadlines, db: it.DB, want: -1})
		return
	}
	r.probeKeys(it)
}

// flushAll adds FLUSHALL as the FLUSHDBs of all databases but the reserved one, which holds more than the position: what
// belongs to the cluster and not to its clients.
func (r *run) flushAll(cfg *Config, item slot, databases int) error {
	args, err := ParseCommand(item.cmd, r.args)
	r.args = args
	if err != nil {
		return err
	}
	flush := append([][]byte{[]byte("FLUSHDB")}, args[1:]...)
	for db := range databases {
		if db == cfg.MetadataDB {
			continue
		}
		r.sel(db, slotSelect)
		r.out = AppendCommand(r.out, flush...)
		item.db = db
		r.slots = append(r.slots, item)
		item = slot{kind: slotFlush, want: -1}
	}
	return nil
}

// probeKeys asks for the deadlines of the keys that the script of the last probe declares.
func (r *run) probeKeys(it *Item) {
	n, err := strconv.Atoi(string(r.args[2]))
	if err != nil || n < 0 || n > len(r.args)-3 {
		return
	}
	for _, key := range r.args[3 : 3+n] {
		r.out = AppendCommand(r.out, []byte("PEXPIRETIME"), key)
		r.slots = append(r.slots, slot{kind: slotProbe, db: it.DB, want: -1, key: key})
	}
}

// sel adds SELECT if another database is selected.
func (r *run) sel(db int, kind slotKind) {
	if r.db == db {
		return
	}
	r.db = db
	r.out = append(r.out, "*2\r\n$6\r\nSELECT\r\n"...)
	var digits [20]byte
	number := strconv.AppendInt(digits[:0], int64(db), 10)
	r.out = appendHead(r.out, '$', len(number))
	r.out = append(r.out, number...)
	r.out = append(r.out, '\r', '\n')
	r.slots = append(r.slots, slot{kind: kind, want: -1})
}

const (
	helloRESP2 = "*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n"
	helloRESP3 = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
)

// speak adds HELLO if the next reply is to be in another protocol. The connection is one of RESP2, and is so again at
// the end of the run: a transaction that is not executed has changed nothing.
func (r *run) speak(resp3 bool) {
	if r.resp3 == resp3 {
		return
	}
	r.resp3 = resp3
	hello := helloRESP2
	if resp3 {
		hello = helloRESP3
	}
	r.out = append(r.out, hello...)
	r.slots = append(r.slots, slot{kind: slotHello, want: -1})
}

func (r *run) send(cmd []byte) {
	if len(cmd) < bigCommand {
		r.out = append(r.out, cmd...)
		return
	}
	r.cut()
	r.parts = append(r.parts, cmd)
	r.sized += len(cmd)
}

// cut moves what was encoded since the last cut to parts. A later append to out may move the rest elsewhere, which does
// not harm what parts holds.
func (r *run) cut() {
	if r.from == len(r.out) {
		return
	}
	r.parts = append(r.parts, r.out[r.from:len(r.out):len(r.out)])
	r.sized += len(r.out) - r.from
	r.from = len(r.out)
}

// finish adds the marker, the end of the transaction, and the watch over the marker until the next one.
func (r *run) finish(metadataDB int, marker []byte) {
	// What happens in the metadata database is nobody's business.
	loud := r.settings.sendsAny()
	if loud {
		r.setEvents("")
	}
	r.sel(metadataDB, slotMeta)
	r.speak(false)
	if r.tracked {
		r.number()
	}
	r.out = append(r.out, "*4\r\n$3\r\nSET\r\n$10\r\n"+markerKey+"\r\n"...)
	r.out = appendHead(r.out, '$', len(marker))
	r.out = append(r.out, marker...)
	r.out = append(r.out, "\r\n$3\r\nGET\r\n"...)
	r.slots = append(r.slots, slot{kind: slotMarker, want: -1})
	if loud {
		r.setEvents(r.settings.events)
	}
	r.out = append(r.out, "*1\r\n$4\r\nEXEC\r\n*2\r\n$5\r\nWATCH\r\n$10\r\n"+markerKey+"\r\n"...)
	r.cut()
}

// write sends the run. Small pieces go in one system call; a big value may take as long as it makes progress.
func (r *run) write(c *conn) error {
	if len(r.parts) == 1 {
		_, err := c.Write(r.parts[0])
		return err
	}
	for len(r.parts) > 0 {
		n, size := 0, 0
		for n < len(r.parts) && (n == 0 || size+len(r.parts[n]) <= writeStep) {
			size += len(r.parts[n])
			n++
		}
		group := net.Buffers(r.parts[:n:n])
		r.parts = r.parts[n:]
		if n == 1 {
			if _, err := c.Write(group[0]); err != nil {
				return err
			}
			continue
		}
		if err := c.writev(group); err != nil {
			return err
		}
	}
	return nil
}

// name of the command in a slot, for messages.
func (r *run) name(s *slot) string {
	switch s.kind {
	case slotItem:
		name, _ := checkCommand(s.cmd)
		return string(bytes.ToUpper(name))
	case slotProbe:
		return "PEXPIRETIME"
	case slotHello:
		return "HELLO"
	case slotDeadlines:
		return "the deadlines of a script"
	case slotFlush:
		return "FLUSHDB"
	case slotNumber:
		return "SET, or DEL, " + runKeyPrefix
	case slotMarker:
		return "SET " + markerKey
	case slotSetting:
		return "CONFIG SET, or HSET " + settingsKey
	case slotUsers:
		return "HSET, or HDEL, " + usersKey
	default:
		return "SELECT"
	}
}
